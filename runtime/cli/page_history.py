"""What earlier runs tell of a run, for its page: from the index of the directory that it is in."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final

from runtime.cli.exit_codes import print_error
from runtime.cli.past_runs import PastRun, load_run, opened
from runtime.history.comparison import Change, Compared, Comparison, compare
from runtime.history.comparison_lines import flaky_text, slower_text
from runtime.history.index import Index
from runtime.history.index_file import ask_index
from runtime.history.outcomes import RememberedRun, RunHead, Standing, remembered
from runtime.history.overview import run_before, series_for
from runtime.report import news

_RUNS: Final = 20
"""Runs in the trend. Arbitrary: some weeks of nights; ten times more are too many bars for a chart."""

# In the order in which the page shows them. It has others, such as known failures, in places of their own.
_TITLES: Final = {
    Change.NEW: "new failures",
    Change.STILL_FAILING: "still failing",
    Change.FIXED: "fixed",
    Change.FLAKY: "flaky",
    Change.SLOWER: "slower",
    Change.ADDED: "added",
    Change.GONE: "gone",
}
_OUTCOMES: Final = {
    Standing.PASSED: "passed",
    Standing.FAILED: "failed",
    Standing.KNOWN: "known",
    Standing.INFRASTRUCTURE: "infrastructure",
    Standing.NOT_RUN: "never_ran",
    Standing.UNFINISHED: "unfinished",
}


def history_of(run: PastRun, base: Path | None) -> news.History | None:
    """Return what the runs in the directory of a run tell of it; `None` if they cannot be asked. Blocks.

    Args:
        run: the run.
        base: the run that it is compared with; `None` for the one before it.

    Raises:
        InputError: if `base` is no run.
    """
    if run.is_exported and base is None:
        return None  # the runs before it are elsewhere
    directory = run.path.parent
    try:
        if base is None and not _has_others(directory, run.name):
            return None  # the index would take as long as the page
    except OSError as exc:
        _tell(directory, exc)
        return None
    other = None if base is None else load_run(base)
    now = remembered(run.state, is_live=run.is_live)
    before = None if other is None else remembered(other.state, is_live=other.is_live)
    try:
        with opened(directory) as out:
            return ask_index(out, partial(_history, now, before), print_error)
    except OSError as exc:
        _tell(directory, exc)
        return None


def _has_others(directory: Path, name: str) -> bool:
    """Whether there is anything in a directory that may be a run of another name."""
    with os.scandir(directory) as entries:
        return any(entry.is_dir(follow_symlinks=False) and entry.name != name for entry in entries)


def _tell(directory: Path, error: OSError) -> None:
    """Tell that the page has no history."""
    print_error(f"{directory} cannot be read, so the page has no earlier runs: {error.strerror}")


def _history(run: RememberedRun, base: RememberedRun | None, index: Index) -> news.History:
    before = run_before(index, run.head) if base is None else base
    runs = _trend(run.head, index)
    if before is None:
        return news.History(runs=runs)
    comparison = compare(run, before, series_for(index, run.head, before.head))
    return news.History(before.head.name, _changes(comparison), runs)


def _changes(comparison: Comparison) -> list[news.Change]:
    return [
        news.Change(title, [news.Changed(each.id, _note(change, each)) for each in comparison.changes[change]])
        for change, title in _TITLES.items()
    ]


def _note(change: Change, compared: Compared) -> str:
    if change is Change.FLAKY:
        return flaky_text(compared.judgement.flaky)
    return slower_text(compared.judgement.slower) if change is Change.SLOWER else ""


def _trend(run: RunHead, index: Index) -> list[tuple[str, dict[str, int]]]:
    """Return the outcomes of the last runs of all jobs of a job file, up to this one."""
    runs = [each for each in index.runs() if each.suite == run.suite and each.order <= run.order]
    names = [each.name for each in runs if not each.partial or each.name == run.name][-_RUNS:]
    standings = index.standings(names)
    return [
        (name, {_OUTCOMES[standing]: count for standing, count in standings.get(name, {}).items()}) for name in names
    ]
