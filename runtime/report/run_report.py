"""What ``report`` shows of a run, whatever has become of it: sections for people, computed from its journal. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.journal.replay import RunState
from runtime.report.again import Again
from runtime.report.group_lines import View
from runtime.report.known_issues import issues_of
from runtime.report.news import History
from runtime.report.results import rules_of_run, run_table
from runtime.report.run_results import UNFINISHED, known_results
from runtime.report.screen_fit import Section
from runtime.report.summary import Line, removed_line
from runtime.report.summary_sections import summary_sections
from runtime.report.text import path_text, printable, quantity

STATES: Final = {"running": "cyan", "ended": "green", "died": "bold red"}
"""The states that a run can have, and their styles."""


def report_sections(
    state: RunState, view: View, *, is_live: bool, history: History | None = None, each_job: bool = False
) -> list[Section]:
    """Return the report of a run: what it is, and the summary that the run itself shows at its end.

    Args:
        state: of the run.
        view: how it is shown.
        is_live: whether a process runs it.
        history: what earlier runs tell; `None` if that was not looked at.
        each_job: whether each job that did not pass has a line, too.
    """
    table = run_table(state, is_live=is_live)
    counts, how, segments = table["counts"], str(table["state"]), table["segments"]
    assert isinstance(counts, dict)
    assert isinstance(segments, list)
    total = sum(counts.values())
    head: Line = (
        (f"{printable(str(table['name'] or table['run']))}: ", "bold"),
        (f"{quantity(total, 'job')}, ", ""),
        (how, STATES[how]),
        (f", in {path_text(state.run_dir, view.relative_to)}", ""),
    )
    sections = [Section(head)]
    if is_live:
        sections.append(Section(((f"{counts[UNFINISHED]} of its jobs have not ended", ""), *_hindrance(state))))
    results = [known.result for known in known_results(state, is_live=is_live) if known.result is not None]
    removed = sum(map(state.is_removed, state.numbers.values()))
    last = [Section(removed_line(removed))] if removed else []
    took = segments[-1]["seconds"] if segments and not is_live else None  # as that process has shown it
    details = state.segments[-1].begin.details if state.segments else {}
    sections += summary_sections(
        results,
        view,
        Again(Path(state.run_dir), view.relative_to, details),
        seconds=took,
        origins=state.origins_by_id(),
        rules=rules_of_run(state),
        history=history,
        issues=issues_of(details),
        each_job=each_job,
    )
    return [*sections, *last]


def _hindrance(state: RunState) -> Line:
    """Return why no more jobs of a live run start, if somebody has asked for that."""
    last = state.segments[-1] if state.segments else None
    if last is not None and last.stopped_by is not None:
        return ((f"; it is being stopped by {printable(last.stopped_by)}", "yellow"),)
    if last is not None and last.paused_by is not None:
        return ((f"; launching is paused by {printable(last.paused_by)}", "yellow"),)
    return ()
