"""`LiveJob` and `Ledger`: which jobs a backend answers for, and how far each has come.

A job is *live* from the start of its submission until its completion stands in the courier's queue. No I/O here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from runtime.errors import DuplicateJobError
from runtime.job import JobStatus, JobStatusInfo
from runtime.job.status import QUEUED


class Stage(enum.IntEnum):
    """How far the launch of a live job has come."""

    WAITING = 0
    """Its launch has not begun, and may yet be called off."""
    LAUNCHING = 1
    """Its launch has begun and not returned."""
    LAUNCHED = 2
    """Its launch has returned; it can be killed."""
    DONE = 3
    """Its completion is queued, or it was refused: no longer live."""


@attrs.frozen
class StopCause:
    """Why a live job is being ended, and since when."""

    reason: JobStatusInfo
    at: float


# The members once more: see `runtime.job.status`.
WAITING: Final = Stage.WAITING
LAUNCHING: Final = Stage.LAUNCHING
LAUNCHED: Final = Stage.LAUNCHED
DONE: Final = Stage.DONE


class LiveJob:
    """One job of a backend, as long as it is live. A backend's author reads it, and may keep things in `data`.

    `make_live` makes them, many at once: a constructor would cost as much as filling them in.
    """

    __slots__ = (
        "accepted",
        "attempt",
        "data",
        "ended",
        "forced",
        "id",
        "interactive",
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
    """Which of all submissions to its backend this is, from 1."""
    submitted: float
    """When it was handed over, in seconds."""
    started: float | None
    """When it began to run, in seconds."""
    queued: float | None
    """Since when it waits in a queue, in seconds, if it does."""
    status: JobStatus
    stage: Stage
    accepted: bool
    """Whether exactly one event comes for it; false once it was refused or called off."""
    stop: StopCause | None
    """Why it is being ended, once somebody asked for that."""
    interactive: bool
    """Whether it wants the backend to itself."""
    forced: bool
    """Whether its end is to be as quick as can be."""
    data: Any
    """The backend's own."""
    ended: trio.Event | None
    """Set when it is no longer live; there is one only if somebody waits for that."""

    def __repr__(self) -> str:
        return f"<LiveJob {self.id!r} attempt {self.attempt} {self.stage.name} {self.status.name}>"

    async def wait_ended(self) -> None:
        """Wait until it is no longer live. A checkpoint only if it still is."""
        if self.stage is not DONE:
            if self.ended is None:
                self.ended = trio.Event()
            await self.ended.wait()


def make_live(
    specs: Iterable[Any], submitted: float, *, attempts: Mapping[str, int] | None = None, ticket: int = 1
) -> list[LiveJob]:
    """Return a job, not yet begun, for each of `specs`.

    Args:
        specs: what to run.
        submitted: when it was handed over, in seconds.
        attempts: id to the number of the attempt; 1 where it says nothing.
        ticket: that of the first; the others follow.
    """
    jobs = []
    for spec in specs:
        job = LiveJob()
        job.spec = spec
        job.id = spec.id
        job.attempt = attempts.get(job.id, 1) if attempts else 1
        job.ticket = ticket
        job.submitted = submitted
        job.started = job.queued = job.stop = job.data = job.ended = None
        job.status = QUEUED
        job.stage = WAITING
        job.accepted = True
        job.interactive = getattr(spec, "interactive", False)
        job.forced = False
        ticket += 1
        jobs.append(job)
    return jobs


class Ledger:
    """The live jobs of one backend, by id."""

    def __init__(self) -> None:
        self._jobs: dict[str, LiveJob] = {}
        self._idle: trio.Event | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[LiveJob]:
        return iter(list(self._jobs.values()))

    def get(self, job_id: str) -> LiveJob | None:
        """Return the live job of this id."""
        return self._jobs.get(job_id)

    def admit(self, jobs: Sequence[LiveJob]) -> None:
        """Enter all of `jobs`, or none.

        Raises:
            DuplicateJobError: if an id stands twice, or is live.
        """
        entering = {job.id: job for job in jobs}
        if len(entering) < len(jobs) or not self._jobs.keys().isdisjoint(entering):
            raise self._duplicate(jobs)
        self._jobs.update(entering)

    def _duplicate(self, jobs: Sequence[LiveJob]) -> DuplicateJobError:
        seen: set[str] = set()
        for job in jobs:
            if job.id in self._jobs or job.id in seen:
                break
            seen.add(job.id)
        where = "is live in this backend" if job.id in self._jobs else "stands twice in this call"
        advice = "Wait for its completion, or give it another id"
        return DuplicateJobError(f"job {job.id!r} {where}; nothing of the call was launched. {advice}")

    def remove(self, *leaving: LiveJob, accepted: bool = True) -> None:
        """Let jobs leave: they are no longer live."""
        jobs = self._jobs
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

    async def wait_idle(self) -> None:
        """Wait until nothing is live. A checkpoint in any case."""
        await trio.lowlevel.checkpoint()
        while self._jobs:
            if self._idle is None:
                self._idle = trio.Event()
            await self._idle.wait()
