"""`Observers`: DVSim's display of a flow and its links by status, told what our scheduler does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio
from dvsim.job.status import JobStatus as TheirStatus
from dvsim.logging import log
from dvsim.scheduler.log_manager import LogManager
from dvsim.scheduler.status_printer import create_status_printer

from runtime.dvsim.jobs import FlowJobs
from runtime.job import JobStatus
from runtime.job.status import TERMINAL
from runtime.process import in_thread
from runtime.scheduler.run import Scheduler
from runtime.scheduler.stream import StatusStream


class Observers:
    """DVSim's observers of one flow.

    Args:
        jobs: of the flow.
        is_interactive: whether the terminal belongs to the jobs, so that no status is printed.
    """

    def __init__(self, jobs: FlowJobs, *, is_interactive: bool) -> None:
        self._jobs = jobs
        self._links = LogManager(jobs.theirs)
        self._printer = None if is_interactive else create_status_printer(jobs.theirs)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the status of the flow for a block, in an asyncio loop."""
        if self._printer is None:
            yield
            return
        self._printer.start()
        try:
            yield
        finally:
            self._printer.stop()

    def subscribe(self, scheduler: Scheduler[Any]) -> StatusStream[Any]:
        """Return the changes for `follow`, none of which is dropped. For before the run."""
        return scheduler.subscribe(math.inf)

    @trio.lowlevel.enable_ki_protection
    async def follow(self, changes: StatusStream[Any]) -> None:
        """Tell the observers of each change until the run has ended. What one raises is logged."""
        limiter = trio.CapacityLimiter(1)
        async for change in changes:
            if change.new is change.old:
                continue
            if change.new in TERMINAL and change.new is not JobStatus.PASSED:
                status = change.new
                log.error("Status change to [%s: %s] for %s", status.shorthand, status.value, change.id)
            job, old, new = self._jobs.by_id[change.id], TheirStatus[change.old.name], TheirStatus[change.new.name]
            if self._printer is not None:
                with _survived():
                    self._printer.update_status(job, old, new)
            with _survived():
                # In a thread: the file system that the links are on may not answer, and the run must go on.
                await in_thread(self._links.on_job_status_change, job, new, limiter=limiter)


@contextmanager
def _survived() -> Iterator[None]:
    """Log what an observer raises in a block: it is foreign code, and must not stop the run."""
    try:
        yield
    except Exception:  # noqa: BLE001 - an observer is foreign code, and the run must go on
        log.exception("an observer failed; the run goes on")
