"""Frozen values, made at the price of plain ones.

A frozen attrs class sets each field by a call: 0.6 µs for a completion of eight fields with Python 3.11, where plain
assignments take 0.2. An event, a handle and a result are made for every job, so these are filled in as a *draft*, a
class with the same fields that is not frozen, and then given their real class, which Python allows between classes of
one layout (none may have a slot for weak references). What comes out cannot be told from what the class itself makes,
and nobody else sees the draft. Classes that are not frozen would be as cheap, but many read an event, and none of them
must change it for the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol, TypeVar

from runtime.job.events import JobCompletionEvent, JobHandle, JobResult, JobStatusInfo, JobUsage
from runtime.job.status import JobStatus


def _draft_of(frozen: type) -> type[Any]:
    return type("Draft", (), {"__slots__": frozen.__slots__})  # type: ignore[attr-defined]  # attrs gives it slots


_Completion: Final = _draft_of(JobCompletionEvent)
_Handle: Final = _draft_of(JobHandle)
_Result: Final = _draft_of(JobResult)


class Live(Protocol):
    """What a job that is live in a backend says of itself."""

    id: str
    attempt: int
    status: JobStatus
    submitted: float
    started: float | None
    accepted: bool
    ticket: int


_Live = TypeVar("_Live", bound=Live)


class Ended(Protocol):
    """A job of a run, and its last event."""

    job: Any
    event: JobCompletionEvent | None


def make_completion(
    job: Live, reason: JobStatusInfo | None, ended: float, usage: JobUsage | None
) -> JobCompletionEvent:
    """Return a `JobCompletionEvent` for `job`, whose status is that of its end."""
    event = _Completion()
    event.job_id = job.id
    event.attempt = job.attempt
    event.status = job.status
    event.reason = reason
    event.submitted = job.submitted
    event.started = job.started
    event.ended = ended
    event.usage = usage
    event.__class__ = JobCompletionEvent
    return event  # type: ignore[no-any-return]  # it is one now


def make_handles(jobs: list[_Live], backend: object) -> dict[str, JobHandle]:
    """Return id to `JobHandle` for each of `jobs` that `backend` has accepted.

    The list is empty afterwards: a job that nobody else holds goes when its handle is there. Python's collector looks
    for garbage after so many objects more than before, so it looks half as often if one takes the place of the other.
    """
    handles = {}
    jobs.reverse()
    while jobs:
        job = jobs.pop()
        if not job.accepted:
            continue
        handle = _Handle()
        handle.job_id = job_id = job.id
        handle.attempt = job.attempt
        handle.started = job.started
        handle.backend = backend
        handle.ticket = job.ticket
        handle.__class__ = JobHandle
        handles[job_id] = handle
    return handles  # they are handles now


def make_results(jobs: Iterable[Ended]) -> list[JobResult]:
    """Return a `JobResult` for each of `jobs` that has ended."""
    results = []
    for job in jobs:
        if job.event is None:
            continue
        result = _Result()
        result.job = job.job
        result.event = job.event
        result.__class__ = JobResult
        results.append(result)
    return results  # they are results now
