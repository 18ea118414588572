"""Makes completions, handles, results, and variants of specifications, which are frozen, as fast as what is not.

The `__init__` of a frozen attrs class sets each field by a call of `object.__setattr__`: 0.6 µs for a completion of
eight fields with Python 3.11, where plain assignments take 0.2 µs. A completion, a handle and a result are made for
every job. So the functions here assign the fields of a *draft*, an object of a class that has the same slots and is not
frozen, and then change its `__class__` to the frozen one. Python allows that between classes of one layout, so neither
may add a slot for weak references; their base class may have it. The result does not differ from what the frozen class
makes itself, and no draft leaves this module.

Rejected: events that are not frozen. They would be as fast, but one event is read by several consumers, none of which
may change it for the others.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

import attrs

from runtime.job.events import JobCompletionEvent, JobHandle, JobPaths, JobResult, JobStatusInfo, JobUsage
from runtime.job.spec import JobSpec, Referable
from runtime.job.status import JobStatus


def _draft_of(frozen: type) -> type[Any]:
    # With the bases of a generic class, too, which are part of the layout.
    bases = getattr(frozen, "__orig_bases__", ())
    slots = frozen.__slots__  # type: ignore[attr-defined]  # attrs gives it slots
    return types.new_class("Draft", bases, exec_body=lambda body: body.update(__slots__=slots))


_Completion: Final = _draft_of(JobCompletionEvent)
_Handle: Final = _draft_of(JobHandle)
_Result: Final = _draft_of(JobResult)


class CompletableJob(Protocol):
    """A job that is live in a backend, as far as a completion or a handle is made of it."""

    id: str
    attempt: int
    status: JobStatus
    submitted: float
    started: float | None
    paths: JobPaths | None
    accepted: bool
    ticket: int


_LiveJobT = TypeVar("_LiveJobT", bound=CompletableJob)


_JobT = TypeVar("_JobT")
_JobT_co = TypeVar("_JobT_co", covariant=True)


class EndedJob(Protocol[_JobT_co]):
    """A job of a run, and its last event; `None` while it has not ended."""

    @property
    def job(self) -> _JobT_co:
        """The specification."""
        ...

    @property
    def event(self) -> JobCompletionEvent | None:
        """Its completion."""
        ...


def make_completion(
    job: CompletableJob, reason: JobStatusInfo | None, ended: float, usage: JobUsage | None
) -> JobCompletionEvent:
    """Return the `JobCompletionEvent` of `job`, whose `status` is already the final one."""
    event = _Completion()
    event.job_id = job.id
    event.attempt = job.attempt
    event.status = job.status
    event.reason = reason
    event.submitted = job.submitted
    event.started = job.started
    event.ended = ended
    event.usage = usage
    event.paths = job.paths
    event.earlier = ()
    event.__class__ = JobCompletionEvent  # frozen from now on
    return event  # type: ignore[no-any-return]  # it is one now


def make_handles(jobs: list[_LiveJobT], backend: object) -> dict[str, JobHandle]:
    """Return a mapping of id to `JobHandle` for those of `jobs` that `backend` has accepted, and empty the list."""
    handles = {}
    jobs.reverse()
    while jobs:
        # Popped, so that a job without another reference is freed before the next handle is made. The garbage collector
        # runs when the number of objects has grown by so many: it runs half as often if each handle replaces a job.
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


def make_results(jobs: Iterable[EndedJob[_JobT]]) -> list[JobResult[_JobT]]:
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


_SPEC_FIELDS: Final = [field.name for field in attrs.fields(JobSpec)]
# With a constructor, which takes the values of all fields in this order: there are too many to name them.
_Spec: Final = attrs.make_class(
    "Draft", _SPEC_FIELDS, bases=(Referable,), slots=True, weakref_slot=False, eq=False, repr=False
)


class SpecVariants:
    """Makes specifications that differ from one of them in a few fields only, as the jobs of a matrix do.

    Args:
        spec: the one.
        fields: what differs: names of texts, of paths, of sequences of texts, of `exports`, or `seed`.
    """

    def __init__(self, spec: JobSpec, fields: Sequence[str]) -> None:
        self._values = [getattr(spec, field) for field in _SPEC_FIELDS]
        self._places = [_SPEC_FIELDS.index(field) for field in fields]

    def make(self, values: Iterable[Any]) -> JobSpec:
        """Return the specification with these values of the fields, which have the types of the fields.

        Raises:
            SpecError: if a field has a value that it cannot have.
        """
        all_values = self._values.copy()
        for place, value in zip(self._places, values, strict=True):
            all_values[place] = value
        spec = _Spec(*all_values)
        spec.__class__ = JobSpec  # frozen from now on
        spec.check_texts()  # all else is that of the first one
        return spec  # type: ignore[no-any-return]  # it is one now
