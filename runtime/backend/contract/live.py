"""`LiveJob` and `Ledger`: the live jobs of a backend, and how far the launch of each has come.

A job is *live* from its submission until its completion is in the courier's queue. No I/O here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from runtime.errors import DuplicateJobError
from runtime.job import JobPaths, JobStatus, JobStatusInfo
from runtime.job.protocol import Specification
from runtime.job.status import QUEUED


class Stage(enum.IntEnum):
    """How far the launch of a live job has come."""

    WAITING = 0
    """Its launch has not begun; until then a kill prevents it."""
    LAUNCHING = 1
    """Its launch has begun, and has not returned."""
    LAUNCHED = 2
    """Its launch has returned; it can be killed."""
    DONE = 3
    """Its completion is queued, or it was refused: no longer live."""


@attrs.define
class StopCause:
    """Why a live job is being stopped. A driver only reads it."""

    reason: JobStatusInfo
    at: float
    """When that was requested, in seconds of the event loop's clock."""
    forced: bool = False
    """Whether the gentle steps of the stop are skipped."""


# Module constants, as looking up a member of an enum is slow: see `runtime.job.status`.
WAITING: Final = Stage.WAITING
LAUNCHING: Final = Stage.LAUNCHING
LAUNCHED: Final = Stage.LAUNCHED
DONE: Final = Stage.DONE


class LiveJob:
    """A live job of a backend: the record of it that drivers and the contract share, for as long as it is live.

    A driver reads the fields, and assigns only `data` and `paths`. Those that only the contract needs (`ticket`,
    `accepted`, `queued`, `ended`) are here as well: a second object for each job would cost as much as this one.

    Made by `make_live`, many at once: calling a constructor would cost as much as assigning the fields.
    """

    __slots__ = (
        "accepted",
        "attempt",
        "data",
        "ended",
        "id",
        "interactive",
        "paths",
        "queued",
        "spec",
        "stage",
        "started",
        "status",
        "stop",
        "submitted",
        "ticket",
    )

    spec: Any
    """The specification: a `JobSpec`, or a foreign object with an `id`."""
    id: str
    attempt: int
    ticket: int
    """The number of this submission among all submissions to its backend, from 1."""
    submitted: float
    """When it was submitted, in seconds of the event loop's clock."""
    started: float | None
    """When it began to run, in seconds of the event loop's clock."""
    queued: float | None
    """Since when it waits in a queue, in seconds of the event loop's clock; `None` if it does not."""
    status: JobStatus
    stage: Stage
    accepted: bool
    """Whether exactly one completion comes for it; false once it was refused."""
    stop: StopCause | None
    """Why it is being stopped; `None` if it is not."""
    interactive: bool
    """Whether it needs the terminal, and so runs without other jobs of its backend."""
    data: Any
    """For the driver."""
    paths: JobPaths | None
    """Where its files are, for its completion; `None` until the driver that launches it tells."""
    ended: trio.Event | None
    """Set when it is no longer live; made by the first `wait_ended`."""

    def __repr__(self) -> str:
        return f"<LiveJob {self.id!r} attempt {self.attempt} {self.stage.name} {self.status.name}>"

    async def wait_ended(self) -> None:
        """Wait until it is no longer live. Not a checkpoint if it is not live any more."""
        if self.stage is not DONE:
            if self.ended is None:
                self.ended = trio.Event()
            await self.ended.wait()


def make_live(
    specs: Iterable[Specification], submitted: float, *, attempts: Mapping[str, int] | None = None, ticket: int = 1
) -> list[LiveJob]:
    """Return a `LiveJob`, whose launch has not begun, for each of `specs`.

    Args:
        specs: the specifications.
        submitted: when they were submitted, in seconds of the event loop's clock.
        attempts: job id to the number of the attempt; an id that is absent means attempt 1.
        ticket: the ticket of the first job; the others get the numbers that follow.
    """
    jobs = []
    for spec in specs:
        job = LiveJob()
        job.spec = spec
        job.id = spec.id
        job.attempt = attempts.get(job.id, 1) if attempts else 1
        job.ticket = ticket
        job.submitted = submitted
        job.started = job.queued = job.stop = job.data = job.paths = job.ended = None
        job.status = QUEUED
        job.stage = WAITING
        job.accepted = True
        job.interactive = getattr(spec, "interactive", False)
        ticket += 1
        jobs.append(job)
    return jobs


class Ledger:
    """The live jobs of an open backend, by id, and how many others there were."""

    def __init__(self) -> None:
        self._jobs: dict[str, LiveJob] = {}
        self._idle: trio.Event | None = None
        self.submitted: int = 0
        """Jobs submitted, refused ones included."""
        self.refused: int = 0
        """Jobs refused because the backend was busy, and jobs cancelled before their launch began."""
        self.completed: int = 0
        """Completions queued."""
        self.late = 0
        """Completions reported for a job that had already completed; they were dropped."""
        self.lost: list[str] = []
        """Ids of the jobs that were abandoned and may be alive."""
        self.on_removed: Callable[[Sequence[LiveJob]], object] | None = None
        """Called with jobs that are no longer live; `None` if nobody wants to know."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[LiveJob]:
        return iter(list(self._jobs.values()))  # a copy, because completing a job removes it

    def get(self, job_id: str) -> LiveJob | None:
        """Return the live job with this id; `None` if there is none."""
        return self._jobs.get(job_id)

    def admit(self, jobs: Sequence[LiveJob]) -> None:
        """Add all of `jobs`, or none of them.

        Raises:
            DuplicateJobError: if an id is given twice, or is live.
        """
        entering = {job.id: job for job in jobs}
        if len(entering) < len(jobs) or not self._jobs.keys().isdisjoint(entering):
            raise self._duplicate(jobs)
        self._jobs.update(entering)
        self.submitted += len(jobs)

    def _duplicate(self, jobs: Sequence[LiveJob]) -> DuplicateJobError:
        seen: set[str] = set()
        for job in jobs:
            if job.id in self._jobs or job.id in seen:
                break
            seen.add(job.id)
        where = "is live in this backend" if job.id in self._jobs else "is given twice in this call"
        advice = "Wait for its completion, or give it another id"
        return DuplicateJobError(f"job {job.id!r} {where}; nothing of the call was launched. {advice}")

    def remove(self, *leaving: LiveJob, accepted: bool = True) -> None:
        """Remove jobs, which are then no longer live: they have completed or, unless `accepted`, were refused."""
        jobs = self._jobs
        if accepted:
            self.completed += len(leaving)
        else:
            self.refused += len(leaving)
        for job in leaving:
            del jobs[job.id]
            job.stage = DONE
            if not accepted:
                job.accepted = False
            if job.ended is not None:
                job.ended.set()
        if not self._jobs and self._idle is not None:
            self._idle.set()
            self._idle = None
        if self.on_removed is not None:
            self.on_removed(leaving)

    async def wait_idle(self) -> None:
        """Wait until no job is live. Always a checkpoint."""
        await trio.lowlevel.checkpoint()
        while self._jobs:  # a job may be added between the event and the next step of this task
            if self._idle is None:
                self._idle = trio.Event()
            await self._idle.wait()
