"""What the runs of a job file that there are let expect of the next one: an answer from the index."""

from __future__ import annotations

from statistics import median
from typing import Final

from runtime.history.index import Index
from runtime.report.expectations import Expectations

MAX_RUNS: Final = 5
"""Runs whose times are used, the newest ones. Arbitrary: ten times more take ten times longer to read, and are of a
design of some weeks ago; one alone may have been slow by chance."""


def expectations(index: Index, suite: str) -> Expectations:
    """Return what the runs in an index let expect of another run of a suite."""
    runs = [run for run in index.runs() if run.suite == suite]
    whole = [run for run in runs if not run.partial] or runs
    if not whole:
        return Expectations()
    newest = whole[-MAX_RUNS:]
    found: dict[str, list[float]] = {}
    for test, seconds in index.durations(newest):
        found.setdefault(test, []).append(seconds)
    return Expectations(
        len(newest), {test: median(times) for test, times in found.items()}, frozenset(index.failing(whole[-1]))
    )
