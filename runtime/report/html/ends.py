"""`Ends`: the times and the usage of completions, as arrays. Pure.

A page may be of 100,000 jobs, nearly all of which passed, and of one that passed there are only numbers and a log. So
these go from the columns of the journal to those of the page, without an object for each job in between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from runtime.job import JobCompletionEvent
from runtime.job.status import PASSED
from runtime.journal.replay import RunState
from runtime.report.html.numbers import Floats, Integers, floats, whole_numbers


@attrs.frozen(eq=False)
class Ends:
    """Completions: an item of each array for each. What is not known is nan."""

    epochs: Floats
    """The wall time of second 0 of the times that follow."""
    submitted: Floats
    started: Floats
    ended: Floats
    cpu_seconds: Floats
    peak_bytes: Floats


@attrs.frozen(eq=False)
class LastEnds:
    """The last completions of all jobs of a run, in the order of the ids."""

    ends: Ends
    """Of a job that has not ended nothing is known."""
    attempts: Integers
    """From 1; 0 if there was none. It is known of each job."""
    only_passed: NDArray[np.bool_]
    """Whether the job passed, and there is no more to tell of it than these numbers and its log."""
    logs: Sequence[tuple[str, str] | None]
    """Its output directory and its log, each as in `Ended`; `None` if they are not known."""


def ends_of(events: Sequence[JobCompletionEvent], epochs: Sequence[float]) -> Ends:
    """Return the numbers of events, the clocks of which have these `epochs`."""
    usages = [event.usage for event in events]
    return Ends(
        np.array(epochs, float),
        floats([event.submitted for event in events]),
        floats([event.started for event in events]),
        floats([event.ended for event in events]),
        floats([None if usage is None else usage.cpu_seconds for usage in usages]),
        floats([None if usage is None else usage.peak_bytes for usage in usages]),
    )


def last_ends(state: RunState) -> LastEnds:
    """Return the last completions of all jobs of a run."""
    numbers, attempts = list(state.numbers.values()), floats(state.attempts)
    count = len(numbers)
    places = np.zeros(len(state.ids), np.int64)
    places[numbers] = np.arange(count)
    ends = Ends(*(np.full(count, math.nan) for _ in range(6)))
    only_passed = np.zeros(count, bool)
    logs: list[tuple[str, str] | None] = [None] * count
    for record, epoch, jobs, rows in state.last_rows():
        at = places[jobs]
        ends.epochs[at] = epoch
        ends.submitted[at] = floats(record.submitted)[rows]
        ends.started[at] = floats(record.started)[rows]
        ends.ended[at] = floats(record.ended)[rows]
        ends.cpu_seconds[at] = floats(record.cpu_seconds)[rows]
        ends.peak_bytes[at] = floats(record.peak_bytes)[rows]
        attempts[jobs] = floats(record.attempts)[rows]
        told = zip(record.statuses, record.messages, strict=True)
        only_passed[at] = np.array([status is PASSED and message is None for status, message in told])[rows]
        paths = list(zip(record.odirs, record.logs, record.cwds, strict=True))
        for place, row in zip(at.tolist(), rows, strict=True):
            odir, log, cwd = paths[row]
            if odir is not None and log is not None and cwd is not None:
                logs[place] = odir, log
    retried = np.zeros(len(state.ids), bool)
    retried[list(state.retried)] = True
    return LastEnds(ends, whole_numbers(attempts[numbers]), only_passed & ~retried[numbers], logs)
