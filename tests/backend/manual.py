"""A backend that does nothing by itself: a test plays the machine, and decides when each job starts, waits and ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from runtime.backend.backend import RuntimeBackend
from runtime.backend.live import LiveJob
from runtime.job import EventBatch, FailureKind, JobSpec, JobStatus, JobStatusInfo
from runtime.testing.history import History


class ManualBackend(RuntimeBackend):
    """Launches at once; `_kill` and `_force` only record what they were asked for."""

    name = "manual"

    def __init__(self, *, running: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.launched_running = running
        self.jobs: dict[str, LiveJob] = {}
        self.killed: list[str] = []
        self.forced: list[str] = []

    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if self._begin(job):
                self.jobs[job.id] = job
                self._launched(job, running=self.launched_running)
        await trio.lowlevel.checkpoint()

    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        self.killed += [job.id for job in jobs]

    def _force(self, jobs: Sequence[LiveJob]) -> None:
        self.forced += [job.id for job in jobs]

    def queue(self, job_id: str, note: str | None = None) -> None:
        self._progress(self.jobs[job_id], JobStatus.QUEUED, note)

    def run(self, job_id: str, note: str | None = None) -> None:
        self._progress(self.jobs[job_id], JobStatus.RUNNING, note)

    def end(self, job_id: str, status: JobStatus = JobStatus.PASSED) -> bool:
        """The job ends by itself."""
        reason = None if status is JobStatus.PASSED else JobStatusInfo("exit code 1", kind=FailureKind.EXIT_CODE)
        return self._complete(self.jobs[job_id], status, reason)

    def die(self, job_id: str) -> bool:
        """The job ends because it was asked to."""
        return self._complete_stopped(self.jobs[job_id])


def job(name: str = "a", **fields: Any) -> JobSpec:
    return JobSpec(name=name, cmd="true", **fields)


@asynccontextmanager
async def opened(backend: RuntimeBackend) -> AsyncIterator[History]:
    """Open `backend` with a reader that sees every event; no attempt may complete twice."""
    send, receive = trio.open_memory_channel[EventBatch](0)
    history = History()
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(history.collect, receive)
        with send:
            try:
                async with backend.open(send):
                    yield history
            except BaseException as exc:  # noqa: BLE001 - raised again outside of the nursery
                failure = exc
    assert history.ended
    keys = [(event.job_id, event.attempt) for event in history.completions]
    assert len(keys) == len(set(keys))
    if failure is not None:
        raise failure
