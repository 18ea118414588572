"""A trace of a run in Chrome's Trace Event Format, which Perfetto opens. A function of its journal. Pure.

The rows are the *slots* of each backend: as many as attempts ran at once. A journal does not say which slot a job had,
so each attempt is in the first that is free. Of attempts that have not ended, it does not say when they began: they are
not shown. What is in use is drawn as counters. ``trace.schema.json`` describes what is written here.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from typing import Final

import attrs

from runtime.job import JobCompletionEvent
from runtime.journal.columns import microseconds
from runtime.journal.replay import RunState
from runtime.journal.segments import Segment
from runtime.report import strict
from runtime.report.buckets import headline_of
from runtime.report.mean_over_time import MeanOverTime
from runtime.report.results import run_table
from runtime.report.run_results import KnownResult, known_results

_RUN: Final = 0
"""The number of the process that stands for the run itself; those of backends follow."""


_FOREVER: Final = 10**15
"""Microseconds from the beginning of a run that are shown, 30 years: a number that each reader of JSON has, whatever
times a job has written to the journal."""

Table = dict[str, object]


@attrs.define
class _Slots:
    """The slots of a backend."""

    process: int
    _busy: list[tuple[int, int]] = attrs.field(factory=list)
    """When each slot becomes free, and its number."""
    _free: list[int] = attrs.field(factory=list)
    count: int = 0

    def take(self, start: int, end: int) -> int:
        """Return the first slot that is free at `start`, which is not before that of the last call; take it."""
        while self._busy and self._busy[0][0] <= start:
            heapq.heappush(self._free, heapq.heappop(self._busy)[1])
        if not self._free:
            self.count += 1
            heapq.heappush(self._free, self.count)
        slot = heapq.heappop(self._free)
        heapq.heappush(self._busy, (end, slot))
        return slot


class _Attempts:
    """When the attempts ran: a few numbers for each, since they are in another order than their jobs."""

    def __init__(self) -> None:
        self.starts: Final = array("q")
        """Microseconds from the beginning of the run."""
        self.ends: Final = array("q")
        self._numbers: Final = array("q")
        self._places: Final = array("q")

    def add(self, number: int, place: int, start: int, end: int) -> None:
        """Add an attempt at a job: the `place`-th before the last one, from 1, or the last, 0."""
        self._numbers.append(number)
        self._places.append(place)
        self.starts.append(start)
        self.ends.append(end)

    def in_order(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield start, end, job and place of each, in the order of their starts."""
        for index in sorted(range(len(self.starts)), key=self.starts.__getitem__):
            yield self.starts[index], self.ends[index], self._numbers[index], self._places[index]


def trace_lines(state: RunState, *, is_live: bool = False) -> Iterator[str]:
    """Yield the trace of a run, one event per line.

    Args:
        state: of the run; its `run_dir` is an absolute path.
        is_live: whether a process runs it.
    """
    run = run_table(state, is_live=is_live)
    details = state.segments[0].begin.details if state.segments else {}
    about = {key: run[key] for key in ("run", "name", "state", "run_dir", "started", "ended", "stopped_by")}
    about |= {key: details.get(key) for key in ("machine", "versions", "git")}
    yield '{"displayTimeUnit": "ms",\n"otherData": ' + strict.dumps(about) + ',\n"traceEvents": [\n'
    separator = ""
    for event in _events(state, str(run["name"] or run["run"]), is_live=is_live):
        yield separator + strict.dumps(event)
        separator = ",\n"
    yield "\n]}\n"


def _events(state: RunState, name: str, *, is_live: bool) -> Iterator[Table]:
    """Yield the events of a trace."""
    zero = microseconds(state.segments[0].begin.at) if state.segments else 0
    yield _name("process", _RUN, 0, name)
    yield _name("thread", _RUN, 0, "processes of job-runtime")
    attempts = _Attempts()
    for known in known_results(state, is_live=is_live):
        _add(attempts, state, known, zero)
    last = max(attempts.ends, default=0)
    for segment in state.segments:
        yield from _of_segment(segment, zero, last)
    means: dict[str, MeanOverTime] = {}
    slots: dict[str, _Slots] = {}
    for start, end, number, place in attempts.in_order():
        backend = state.backend(number)
        if backend not in slots:
            slots[backend] = _Slots(len(slots) + 1)
            yield _name("process", slots[backend].process, 0, f"backend {backend}" if backend else "unknown backend")
        of_backend = slots[backend]
        count, slot = of_backend.count, of_backend.take(start, end)
        if of_backend.count > count:
            yield _name("thread", of_backend.process, slot, f"slot {slot}")
        event = _attempt(state, number, place)
        yield _slice(state, number, event, (of_backend.process, slot), (start, end))
        for key, amount in _in_use(event, end - start).items():
            means.setdefault(key, MeanOverTime(last)).add(start, end, amount)
    for key, mean in means.items():
        for at, value in mean.values():
            yield {"ph": "C", "name": key, "pid": _RUN, "tid": 0, "ts": at, "args": {"value": value}}


def _add(attempts: _Attempts, state: RunState, known: KnownResult, zero: int) -> None:
    """Add the attempts at a job that have ended, and ran in this run."""
    if known.origin is not None:
        return
    number = state.numbers[known.job.id]
    events = [*known.earlier, *([known.result.event] if known.result is not None and known.is_recorded else [])]
    segment = known.segment or (state.segments[-1] if state.segments else None)
    offset = (0 if segment is None else microseconds(segment.begin.epoch)) - zero
    for place, event in enumerate(reversed(events), 0 if len(events) > len(known.earlier) else 1):
        if event.started is not None:
            start, end = (offset + microseconds(each) for each in (event.started, event.ended))
            start = min(max(0, start), _FOREVER)
            attempts.add(number, place, start, min(max(start, end), _FOREVER))


def _attempt(state: RunState, number: int, place: int) -> JobCompletionEvent:
    """Return the completion of the attempt that `_add` has added."""
    result = state.result(number)
    if place == 0:
        assert result is not None
        return result
    return (state.earlier(number) if result is None else result.earlier)[-place]


def _slice(
    state: RunState, number: int, event: JobCompletionEvent, row: tuple[int, int], times: tuple[int, int]
) -> Table:
    job, (start, end) = state.description(number), times
    return {
        "ph": "X",
        "name": job.id,
        "cat": event.status.name.lower(),
        "pid": row[0],
        "tid": row[1],
        "ts": start,
        "dur": end - start,
        "args": {
            "job": job.name,
            "attempt": event.attempt,
            "status": event.status.name.lower(),
            "kind": None if event.kind is None else event.kind.value,
            "message": None if event.reason is None else headline_of(event.reason),
            "seed": job.seed,
            "log": event.log_path,
        },
    }


def _in_use(event: JobCompletionEvent, took: int) -> dict[str, float]:
    """Return what an attempt used while it ran, by the name of its counter."""
    used: dict[str, float] = {"running jobs": 1}
    usage = event.usage
    if usage is not None and usage.cpu_seconds is not None and took:
        used["CPUs (mean of each job)"] = min(microseconds(usage.cpu_seconds) / took, _FOREVER)
    if usage is not None and usage.peak_bytes is not None:
        used["memory in MB (largest process of each job)"] = min(usage.peak_bytes, _FOREVER) / 1e6
    return used


def _of_segment(segment: Segment, zero: int, last: int) -> Iterator[Table]:
    """Yield what a process that ran the run did, and was asked for. One that was killed ends with the `last` job."""
    begin, offset = segment.begin, microseconds(segment.begin.epoch) - zero

    def within(micros: int) -> int:
        return min(max(0, micros), _FOREVER)

    start = within(microseconds(begin.at) - zero)
    end = max(start, last if segment.end is None else within(offset + microseconds(segment.end.at)))
    args = {"host": begin.host, "pid": begin.pid, "stopped_by": segment.stopped_by, "kept": segment.kept}
    name = f"process {begin.pid} on {begin.host}"
    row: Table = {"pid": _RUN, "tid": 0}
    yield {"ph": "X", "name": name, "cat": "run", **row, "ts": start, "dur": end - start, "args": args}
    for request in segment.requests:
        at = within(offset + microseconds(request.at))
        asked = {"by": request.by, "jobs": len(request.jobs), "resource": request.resource, "limit": request.limit}
        yield {"ph": "i", "s": "g", "name": request.action, "cat": "request", **row, "ts": at, "args": asked}
        if request.resource is not None and request.limit is not None:
            limit = {"value": min(request.limit, _FOREVER)}
            yield {"ph": "C", "name": f"limit of {request.resource}", **row, "ts": at, "args": limit}
    yield from _samples(segment, offset, end)


def _samples(segment: Segment, offset: int, end: int) -> Iterator[Table]:
    """Yield what was in use of the machine and of resources, as counters that end with the segment."""
    names: set[str] = set()
    row: Table = {"pid": _RUN, "tid": 0}
    for sample in segment.samples:
        at = min(max(0, offset + microseconds(sample.at)), _FOREVER)
        values: dict[str, float | None] = {f"{name} in use": held for name, (held, _) in sample.held().items()}
        values["CPUs of the machine"] = sample.cpus
        values["memory of the machine in MB"] = None if sample.memory is None else min(sample.memory, _FOREVER) / 1e6
        for name, value in values.items():
            if value is not None:
                names.add(name)
                yield {"ph": "C", "name": name, **row, "ts": at, "args": {"value": min(max(0, value), _FOREVER)}}
    for name in sorted(names):
        yield {"ph": "C", "name": name, **row, "ts": end, "args": {"value": 0}}


def _name(what: str, process: int, thread: int, name: str) -> Table:
    """Return the event that names a process or a thread."""
    return {"ph": "M", "name": f"{what}_name", "pid": process, "tid": thread, "args": {"name": name}}
