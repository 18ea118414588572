"""The numbers of the charts: a few points, however many jobs there are. Pure."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from runtime.report.html.jobs_table import NOT_KNOWN, Spans

MAX_POINTS: Final = 240
"""Points along the time. Arbitrary: a chart is some thousand pixels wide, and its table should be readable."""
MAX_BARS: Final = 1000
"""Bars of the chart of slots. Arbitrary: with ten times as many, each is less than a pixel."""
MAX_SLOTS: Final = 64
"""Rows of the chart of slots. Arbitrary: with ten times as many, each is a few pixels high."""
_PER_DECADE: Final = 3


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
    end = max(spans.ended, default=began) - began
    if not 0 < end < math.inf:
        return [], 0.0
    width = end / MAX_POINTS
    running, waiting, cores, memory = ([0.0] * (MAX_POINTS + 1) for _ in range(4))
    columns = zip(spans.submitted, spans.started, spans.ended, spans.cpu_seconds, spans.peak_bytes, strict=True)
    for submitted, started, ended, cpu, peak in columns:
        length = ended - started
        _add(waiting, (submitted - began) / width, (started - began) / width, 1.0)
        _add(running, (started - began) / width, (ended - began) / width, 1.0)
        if cpu != NOT_KNOWN and length > 0:
            _add(cores, (started - began) / width, (ended - began) / width, cpu / length)
        if peak != NOT_KNOWN:
            _add(memory, (started - began) / width, (ended - began) / width, peak)
    sums = zip(*(itertools.accumulate(each) for each in (running, waiting, cores, memory)), strict=True)
    return [Load(index * width, *map(_positive, values)) for index, values in enumerate(sums)][:MAX_POINTS], end


def _add(changes: list[float], start: float, end: float, amount: float) -> None:
    """Add `amount`, times the share of each part that lies between two points, to the changes from part to part."""
    for point, sign in ((start, amount), (end, -amount)):
        whole = int(min(max(point, 0.0), MAX_POINTS - 1))
        share = min(max(1 - (point - whole), 0.0), 1.0)
        changes[whole] += sign * share
        changes[whole + 1] += sign * (1 - share)


def _positive(value: float) -> float:
    """Return a sum without the rounding errors around 0."""
    return round(max(0.0, value), 3)


def bars(spans: Spans, began: float) -> tuple[Sequence[Bar], int]:
    """Return the attempts on slots, and how many are in no bar: those on the last slots, and the shortest."""
    found = list(_on_slots(spans, began))
    shown = [bar for bar in found if bar.slot < MAX_SLOTS]
    if len(shown) > MAX_BARS:
        shown = list(_joined(shown))
    longest = heapq.nlargest(MAX_BARS, shown, key=lambda bar: bar.end - bar.start)
    return sorted(longest, key=lambda bar: (bar.start, bar.slot)), len(found) - sum(bar.attempts for bar in longest)


def _joined(found: Sequence[Bar]) -> Iterator[Bar]:
    """Yield bars in which attempts are one that follow one another on a slot, with a gap that nobody sees."""
    gap = max(bar.end for bar in found) / MAX_BARS
    last: dict[int, Bar] = {}
    for bar in found:
        before = last.get(bar.slot)
        if before is not None and bar.outcome == before.outcome and bar.start - before.end <= gap:
            last[bar.slot] = attrs.evolve(before, end=bar.end, attempts=before.attempts + 1)
            continue
        if before is not None:
            yield before
        last[bar.slot] = bar
    yield from last.values()


def _on_slots(spans: Spans, began: float) -> Iterator[Bar]:
    """Yield each attempt on the lowest slot that is free when it begins."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for index in sorted(range(len(spans.started)), key=spans.started.__getitem__):
        start, end = spans.started[index], spans.ended[index]
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, slot))
        yield Bar(slot, start - began, end - began, spans.jobs[index], spans.outcomes[index])


def duration_bins(spans: Spans) -> Sequence[DurationBin]:
    """Return how many attempts took how long, from the shortest to the longest, on a logarithmic scale."""
    counts: dict[int, list[int]] = {}
    for start, end, outcome in zip(spans.started, spans.ended, spans.outcomes, strict=True):
        length = end - start
        exponent = math.floor(math.log10(min(max(length, 0.001), 1e9)) * _PER_DECADE)
        counts.setdefault(exponent, [0, 0])[outcome != 0] += 1
    if not counts:
        return []
    return [
        DurationBin(10 ** (each / _PER_DECADE), 10 ** ((each + 1) / _PER_DECADE), *counts.get(each, (0, 0)))
        for each in range(min(counts), max(counts) + 1)
    ]
