"""What ``report`` shows of a run, whatever has become of it: lines for people, computed from its journal. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.journal.replay import RunState
from runtime.report.results import rules_of_run, run_table
from runtime.report.run_results import UNFINISHED, known_results
from runtime.report.summary import Line, removed_line, summary
from runtime.report.text import path_text, printable

STATES: Final = {"running": "cyan", "ended": "green", "died": "bold red"}
"""The states that a run can have, and their styles."""


def report_lines(state: RunState, *, is_live: bool, relative_to: Path) -> list[Line]:
    """Return the lines of the report of a run: what it is, and the summary that the run itself shows at its end.

    Args:
        state: of the run.
        is_live: whether a process runs it.
        relative_to: the directory that paths are shown relative to.
    """
    table = run_table(state, is_live=is_live)
    counts, how, segments = table["counts"], str(table["state"]), table["segments"]
    assert isinstance(counts, dict)
    assert isinstance(segments, list)
    total = sum(counts.values())
    head: Line = (
        (f"{printable(str(table['name'] or table['run']))}: ", "bold"),
        (f"{total} {'job' if total == 1 else 'jobs'}, ", ""),
        (how, STATES[how]),
        (f", begun {table['started'] or 'at an unknown time'}, in {path_text(state.run_dir, relative_to)}", ""),
    )
    lines = [head]
    if is_live:
        lines.append(((f"{counts[UNFINISHED]} of its jobs have not ended", ""), *_hindrance(state)))
    results = [known.result for known in known_results(state, is_live=is_live) if known.result is not None]
    removed = sum(map(state.is_removed, state.numbers.values()))
    last = [removed_line(removed)] if removed else []
    took = segments[-1]["seconds"] if segments and not is_live else None  # as that process has shown it
    lines += summary(
        results,
        Path(state.run_dir),
        seconds=took,
        relative_to=relative_to,
        origins=state.origins_by_id(),
        rules=rules_of_run(state),
    )
    return [*lines, *last]


def _hindrance(state: RunState) -> Line:
    """Return why no more jobs of a live run start, if somebody has asked for that."""
    last = state.segments[-1] if state.segments else None
    if last is not None and last.stopped_by is not None:
        return ((f"; it is being stopped by {printable(last.stopped_by)}", "yellow"),)
    if last is not None and last.paused_by is not None:
        return ((f"; launching is paused by {printable(last.paused_by)}", "yellow"),)
    return ()
