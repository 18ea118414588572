"""Why a job waited, and for how long: computed from the records of a journal. Pure.

A journal has no reason for each moment. It has when jobs were submitted, began and ended, and what a batch system said
of those in its queue. Between the last end of the jobs that it needs, and its submission, a job waits for a slot or a
resource, or because launching is paused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from runtime.job.shorten import some_of
from runtime.job.status import RUNNING, TERMINAL
from runtime.journal.records import Begin, Progress, Record, Starting
from runtime.journal.replay import RunState
from runtime.journal.requirements import Requirements

_MAX_NAMES: Final = 3
"""Jobs that a reason names. Arbitrary: the list of needs has all; one would hide that there are others."""
_SHORTEST: Final = 0.05
"""Seconds of a wait that is told. Arbitrary: as ``0.1 s`` is the shortest time that is shown; each start takes some."""


@attrs.frozen
class Wait:
    """A time in which a job did not run, although it was to."""

    seconds: float | None
    """`None` if its end is not known, because the run died."""
    why: str
    """For people; not escaped."""


@attrs.define
class Submission:
    """An attempt at a job that was submitted to a backend. Times are wall times, in seconds."""

    attempt: int
    backend: str
    at: float
    segment: int
    """The index of its segment."""
    started: float | None
    """When it began to run; `None` if the journal does not say."""
    has_queue: bool = False
    """Whether its backend has a queue in which it may wait."""
    where: str | None = None
    """The last note on where it runs."""
    reasons: list[str] = attrs.field(factory=list)
    """Why it waited in the queue of its backend, in the words of that."""


def submissions(records: Iterable[Record], number: int) -> list[Submission]:
    """Return what was submitted of a job.

    Args:
        records: of a journal, from the first one on.
        number: of the job.
    """
    found: list[Submission] = []
    epoch, segment = 0.0, -1
    for record in records:
        match record:
            case Begin():
                epoch, segment = record.epoch, segment + 1
            case Starting() if number in record.jobs:
                at = epoch + record.at
                attempt = record.attempts[record.jobs.index(number)]
                queued = bool(record.queued)
                found.append(Submission(attempt, record.backend, at, segment, None if queued else at, queued))
            case Progress() if found and number in record.jobs:
                _add_progress(found[-1], record, number, epoch)
            case _:
                pass
    return found


def _add_progress(submission: Submission, record: Progress, number: int, epoch: float) -> None:
    for each, attempt, status, at, note in zip(
        record.jobs, record.attempts, record.statuses, record.at, record.notes, strict=True
    ):
        if each != number or attempt != submission.attempt:
            continue
        if status is RUNNING:
            submission.where = note
            submission.started = epoch + at if submission.started is None else submission.started
        elif note is not None and note not in submission.reasons:
            submission.reasons.append(note)


def waits(state: RunState, number: int, submitted: Sequence[Submission], now: float | None) -> list[Wait]:
    """Return why a job waited, in the order of time.

    Args:
        state: of the run.
        number: of the job.
        submitted: what `submissions` has returned.
        now: the wall time, if a process runs the run; else `None`.
    """
    if not state.segments or number in state.origins:
        return []
    found = [*_before(state, number, submitted, now), *_of_attempts(state, number, submitted, now)]
    return [each for each in found if each.seconds is None or each.seconds >= _SHORTEST]


def _before(state: RunState, number: int, submitted: Sequence[Submission], now: float | None) -> Iterator[Wait]:
    """Yield what a job waited for before it was submitted for the first time."""
    segment = state.segment(number) or state.segments[-1]
    if submitted and 0 <= submitted[0].segment < len(state.segments):
        segment = state.segments[submitted[0].segment]
    began = segment.begin.at
    until = submitted[0].at if submitted else _ended(state, number) or now
    needs = state.requirements(number)
    numbers = [state.numbers[each] for each in needs.dependencies if each in state.numbers]
    left = [each for each in numbers if state.statuses[each] not in TERMINAL]
    if left and not submitted:
        names = some_of([state.ids[each] for each in left], _MAX_NAMES)
        yield Wait(None if until is None else until - began, f"for what it needs: {names}")
        return
    ends = [(end, state.ids[each]) for each in numbers if (end := _ended(state, each)) is not None]
    ready, last = max(ends, default=(began, ""))
    if until is not None:
        ready = min(ready, until)
    if ready > began:
        yield Wait(ready - began, f"for what it needs: {last} ended last")
    yield Wait(None if until is None else until - max(began, ready), _for_a_slot(needs, segment.paused_by))


def _for_a_slot(needs: Requirements, paused_by: str | None) -> str:
    held = sorted(name for name, amount in needs.resources.items() if amount != 0)
    resources = f", or for {some_of(held, _MAX_NAMES)}" if held else ""
    paused = "" if paused_by is None else f"; launching is paused by {paused_by}"
    return f"for a slot{resources}{paused}"


def _of_attempts(state: RunState, number: int, submitted: Sequence[Submission], now: float | None) -> Iterator[Wait]:
    """Yield what the attempts at a job waited for in the queues of their backends, and between them."""
    result, epoch = state.result(number), state.epoch(number)
    events = state.earlier(number) if result is None else (*result.earlier, result)
    epoch = state.segments[-1].begin.epoch if epoch is None else epoch
    by_attempt = {event.attempt: event for event in events}
    before: float | None = None
    for submission in submitted:
        event = by_attempt.get(submission.attempt)
        if before is not None:
            yield Wait(submission.at - before, f"to be tried again: attempt {submission.attempt}")
        if event is None:
            before, until = None, now if submission.started is None else submission.started
        else:
            before = epoch + event.ended
            until = before if event.started is None else epoch + event.started
        reasons = f": {'; '.join(submission.reasons)}" if submission.reasons else ""
        where = "in the queue of" if submission.has_queue else "to be started by"
        yield Wait(None if until is None else until - submission.at, f"{where} {submission.backend}{reasons}")
    if before is not None and state.is_waiting(number):
        yield Wait(None if now is None else now - before, "to be tried again")


def _ended(state: RunState, number: int) -> float | None:
    """Return the wall time at which a job ended; `None` if it has not."""
    result, epoch = state.result(number), state.epoch(number)
    return None if result is None or epoch is None else epoch + result.ended
