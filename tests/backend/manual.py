"""A backend that does nothing by itself: a test plays the machine, and decides when each job starts, waits and ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, Unpack

import trio

from runtime.backend.contract.backend import BackendOptions, RuntimeBackend
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import LiveJob
from runtime.job import EventBatch, FailureKind, JobSpec, JobStatus, JobStatusInfo
from runtime.testing.history import History

BackendT = TypeVar("BackendT", bound=RuntimeBackend)


class ManualBackend(RuntimeBackend):
    """Launches at once; kills are only recorded."""

    name = "manual"

    def __init__(self, *, running: bool = True, **options: Unpack[BackendOptions]) -> None:
        super().__init__(**options)
        self.launched_running = running
        self.jobs: dict[str, LiveJob] = {}
        self.killed: list[str] = []
        self.forced: list[str] = []
        self.control: Control

    def make_driver(self, control: Control) -> Driver:
        return ManualDriver(control, self)

    def queue(self, job_id: str, note: str | None = None) -> None:
        self.control.progress(self.jobs[job_id], JobStatus.QUEUED, note)

    def run(self, job_id: str, note: str | None = None) -> None:
        self.control.progress(self.jobs[job_id], JobStatus.RUNNING, note)

    def end(self, job_id: str, status: JobStatus = JobStatus.PASSED) -> bool:
        """The job ends by itself."""
        reason = None if status is JobStatus.PASSED else JobStatusInfo("exit code 1", kind=FailureKind.EXIT_CODE)
        return self.control.finish(self.jobs[job_id], status, reason)

    def die(self, job_id: str) -> bool:
        """The job ends because it was asked to."""
        return self.control.finish_stopped(self.jobs[job_id])


class ManualDriver(Driver):
    def __init__(self, control: Control, backend: ManualBackend) -> None:
        super().__init__(control)
        self.backend = backend
        backend.control = control

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if self.control.begin(job):
                self.backend.jobs[job.id] = job
                (self.control.started if self.backend.launched_running else self.control.queued)(job)
        await trio.lowlevel.checkpoint()

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        self.backend.killed += [job.id for job in jobs]

    def force(self, jobs: Sequence[LiveJob]) -> None:
        self.backend.forced += [job.id for job in jobs]


def driven_by(
    driver: Callable[[Control, Any], Driver], backend_class: Callable[..., BackendT], *args: Any, **options: Any
) -> BackendT:
    """Return a backend of this class with another driver, which is made of the control and the backend."""

    class Driven(backend_class):  # type: ignore[misc, valid-type]  # mypy cannot follow a class that is an argument
        def make_driver(self, control: Control) -> Driver:
            return driver(control, self)

    return Driven(*args, **options)


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
