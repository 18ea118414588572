"""What the columns of a journal tell of all jobs is what the events tell of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given

from runtime.job import JobCompletionEvent, JobStatus
from runtime.journal import Record, replay
from runtime.journal.paths import absolute
from runtime.report.html.ends import last_ends
from runtime.report.html.numbers import floats
from tests.journal.strategies import RECORDS

RUN_DIR = "/run"


def as_float(value: float | None) -> float | None:
    """The item of an array for a number of an event; `None` for nan."""
    (item,) = floats([value]).tolist()
    return None if math.isnan(item) else float(item)


def numbers_of(event: JobCompletionEvent | None) -> Sequence[float | None]:
    if event is None:
        return [None] * 5
    usage = event.usage
    used = (None, None) if usage is None else (usage.cpu_seconds, usage.peak_bytes)
    return [*map(as_float, (event.submitted, event.started, event.ended, *used))]


@given(RECORDS)
def test_any_run_is_the_same_by_columns_and_by_events(records: list[Record]) -> None:
    state = replay(records, RUN_DIR)
    last, ends = last_ends(state), last_ends(state).ends
    columns = (ends.submitted, ends.started, ends.ended, ends.cpu_seconds, ends.peak_bytes)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for row, (number, found) in enumerate(zip(state.numbers.values(), rows, strict=True)):
        event = state.result(number)
        assert [None if math.isnan(each) else each for each in found] == numbers_of(event)
        assert last.attempts[row] == (state.attempts[number] if event is None else event.attempt)
        assert last.only_passed[row] == (
            event is not None and (event.status, event.reason, event.earlier) == (JobStatus.PASSED, None, ())
        )
        paths, told = None if event is None else event.paths, last.logs[row]
        assert (paths and paths.log) == (told and absolute(told[1], absolute(told[0], RUN_DIR)))
