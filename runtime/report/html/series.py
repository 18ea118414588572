"""The numbers of the charts: a few points, however many jobs there are. Pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import attrs
import numpy as np

from runtime.report.html.numbers import Floats
from runtime.report.html.spans import Spans

MAX_POINTS: Final = 240
"""Points along the time. Arbitrary: a chart is some thousand pixels wide, and its table should be readable."""
MAX_BARS: Final = 1000
"""Bars of the chart of slots. Arbitrary: with ten times as many, each is less than a pixel."""
MAX_SLOTS: Final = 64
"""Rows of the chart of slots. Arbitrary: with ten times as many, each is a few pixels high."""
_PER_DECADE: Final = 3
_MAX_VALUE: Final = 1e18
"""Of what an attempt used. Arbitrary: more than any uses, and so little that all together are a number."""


@attrs.frozen
class Load:
    """What was in use, on average, in a part of the time of a run."""

    start: float
    """Seconds since the run began; the end is the start of the next one."""
    running: float
    """Jobs that ran."""
    waiting: float
    """Jobs that waited in a backend."""
    cores: float
    """CPU seconds per second, if each job used them evenly."""
    memory: float
    """Bytes: the largest of each job, added up."""


@attrs.frozen
class Bar:
    """An attempt on the slot that it ran on, as far as the times tell: backends do not number their slots."""

    slot: int
    start: float
    """Seconds since the run began."""
    end: float
    job: int
    """The index of the job in the table; of several attempts, that of the first."""
    outcome: int
    """The index in `OUTCOMES`."""
    attempts: int = 1
    """Of a run with more attempts than bars: how many follow one another with the same outcome, and are one bar."""


@attrs.frozen
class DurationBin:
    """How many attempts took how long."""

    low: float
    """Seconds."""
    high: float
    passed: int
    others: int


def loads(spans: Spans, began: float) -> tuple[Sequence[Load], float]:
    """Return what was in use from the begin of the run on, in parts of equal length, and the end of the last part."""
    end = float(spans.ended.max(initial=began)) - began
    if not 0 < end < math.inf:
        return [], 0.0
    width = end / MAX_POINTS
    submitted, started, ended = ((each - began) / width for each in (spans.submitted, spans.started, spans.ended))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # whatever a job has written
        cores = spans.cpu_seconds / (spans.ended - spans.started)
    columns = (
        _average(started, ended, np.ones_like(started)),
        _average(submitted, started, np.ones_like(started)),
        _average(started, ended, _finite(cores)),
        _average(started, ended, _finite(spans.peak_bytes)),
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Load(index * width, *values) for index, values in enumerate(rows)], end


def _finite(values: Floats) -> Floats:
    """Return values that can be added up, with 0 in place of those that are not known or make no sense."""
    return np.clip(np.nan_to_num(values, nan=0), 0, _MAX_VALUE)


def _average(starts: Floats, ends: Floats, amounts: Floats) -> Floats:
    """Return the average of each part, if each of `amounts` is there from its start to its end: in widths of a part."""
    changes: Floats = np.zeros(MAX_POINTS + 1)
    for points, signed in ((starts, amounts), (ends, -amounts)):
        whole = np.clip(points, 0, MAX_POINTS - 1).astype(np.int64)
        shares = np.clip(1 - (points - whole), 0, 1)
        changes += np.bincount(whole, signed * shares, MAX_POINTS + 1)
        changes += np.bincount(whole + 1, signed * (1 - shares), MAX_POINTS + 1)
    # Without the rounding errors around 0.
    return np.maximum(0.0, np.cumsum(changes[:MAX_POINTS])).round(3)


def bars(spans: Spans, began: float) -> tuple[Sequence[Bar], int]:
    """Return the attempts on slots, and how many are in no bar: those on the last slots, and the shortest."""
    count = len(spans.started)
    order = np.argsort(spans.started, kind="stable")
    columns = (spans.started[order] - began, spans.ended[order] - began, spans.jobs[order], spans.outcomes[order])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    slots = _slots(spans.started[order].tolist(), spans.ended[order].tolist())
    shown = [(slot, *row, 1) for slot, row in zip(slots, rows, strict=True) if slot < MAX_SLOTS]
    if len(shown) > MAX_BARS:
        shown = list(_joined(shown))
    longest = [Bar(*row) for row in heapq.nlargest(MAX_BARS, shown, key=_length)]
    return sorted(longest, key=lambda bar: (bar.start, bar.slot)), count - sum(bar.attempts for bar in longest)


_Row: TypeAlias = tuple[int, float, float, int, int, int]
"""The fields of a `Bar`: there may be 100,000, and a tuple is made in a fifth of the time."""


def _length(row: _Row) -> float:
    _, start, end, *_ = row
    return end - start


def _joined(found: Sequence[_Row]) -> Iterator[_Row]:
    """Yield bars in which attempts are one that follow one another on a slot, with a gap that nobody sees."""
    gap = max(end for _, _, end, *_ in found) / MAX_BARS
    last: dict[int, _Row] = {}
    for row in found:
        slot, start, end, _, outcome, _ = row
        before = last.get(slot)
        if before is not None:
            _, first, until, job, same, attempts = before
            if outcome == same and start - until <= gap:
                last[slot] = slot, first, end, job, same, attempts + 1
                continue
            yield before
        last[slot] = row
    yield from last.values()


def _slots(starts: Sequence[float], ends: Sequence[float]) -> Iterator[int]:
    """Yield for each attempt, in the order in which they begin, the lowest slot that is free then."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for start, end in zip(starts, ends, strict=True):
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, slot))
        yield slot


def duration_bins(spans: Spans) -> Sequence[DurationBin]:
    """Return how many attempts took how long, from the shortest to the longest, on a logarithmic scale."""
    if not len(spans.started):
        return []
    lengths = np.clip(spans.ended - spans.started, 0.001, 1e9)
    exponents = np.floor(np.log10(lengths) * _PER_DECADE).astype(np.int64)
    least = int(exponents.min())
    count = int(exponents.max()) - least + 1
    is_passed = spans.outcomes == 0
    passed, others = (np.bincount(exponents[which] - least, minlength=count) for which in (is_passed, ~is_passed))
    return [
        DurationBin(10 ** (each / _PER_DECADE), 10 ** ((each + 1) / _PER_DECADE), *numbers)
        for each, *numbers in zip(range(least, least + count), passed.tolist(), others.tolist(), strict=True)
    ]
