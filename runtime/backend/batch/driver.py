"""`BatchDriver`: puts the members of an open backend for a batch system together, and runs their loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import trio

from runtime.backend.batch.adopting import Adopter
from runtime.backend.batch.cancelling import Canceller
from runtime.backend.batch.completing import Completer
from runtime.backend.batch.element import FINISHING, PREPARED
from runtime.backend.batch.excluding import Excluder
from runtime.backend.batch.files import Files
from runtime.backend.batch.job import BatchJob
from runtime.backend.batch.job_files import JobFiles
from runtime.backend.batch.job_tracker import JobTracker
from runtime.backend.batch.pace import Pace
from runtime.backend.batch.polling import QueuePoller
from runtime.backend.batch.preparing import HOOK_THREADS, Preparer
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.reactor import Reactor
from runtime.backend.batch.schedule import Schedule
from runtime.backend.batch.store import Store
from runtime.backend.batch.submitting import Submitter
from runtime.backend.batch.system import System
from runtime.backend.contract.backend import later
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import LiveJob
from runtime.backend.finishing import Finisher
from runtime.backend.log_watch import LogWatch
from runtime.backend.run_directory import RunDirectory
from runtime.errors import BackendBrokenError
from runtime.process import SoftSteps, in_thread
from runtime.roots import Roots

logger: Final = logging.getLogger("runtime.backend.batch")

_FILE_THREADS: Final = 4
_VERDICT_THREADS: Final = 6
"""Threads for each class of blocking work. Arbitrary: with ten times as many, dozens of threads wait for a slow file
system; with a single one, every job waits for each of its calls."""


@attrs.frozen
class BatchSettings:
    """The arguments of a backend for a batch system, checked."""

    poll_interval: float
    visibility_timeout: float
    kill_timeout: float | None
    max_output_dirs: int | None
    soft_steps: SoftSteps


class BatchDriver(Driver):
    """Runs jobs as elements of arrays.

    Args:
        control: records what happens to the jobs.
        system: the batch system.
        settings: the arguments of the backend.
        directory: the run directory.
    """

    def __init__(self, control: Control, system: System, settings: BatchSettings, directory: RunDirectory) -> None:
        super().__init__(control)
        self.queue: Final = Queue(system, Pace(settings.poll_interval), control.name)
        self._settings = settings
        self._directory = directory
        self._roots: Roots
        self._schedule: Final = Schedule(self.queue.pace)
        self._finisher: Finisher
        self._log_watch: LogWatch
        self._tracker: JobTracker
        self._poller: QueuePoller
        self._canceller: Canceller
        self._adopter: Adopter
        self._submitter: Submitter
        self.kill_deadline = settings.kill_timeout

    # ------------------------------------------------------------------ the block

    async def setup(self) -> None:
        """Make the run directory ready, and find the jobs of a previous incarnation."""
        environment = self.queue.system.start()
        limiter = trio.CapacityLimiter(_FILE_THREADS)
        await self.queue.probe()
        try:
            store = await in_thread(self._make_store, environment, limiter=limiter)
        except OSError as exc:  # out of descriptors; or a job of an earlier run has replaced a directory
            raise BackendBrokenError(f"backend {self.control.name!r} cannot be opened: {exc}") from exc
        self._connect(Files(store, limiter))
        try:
            await self._adopter.find()
        except BaseException:  # `teardown` is not called for a backend that was not opened
            self._directory.close(self._roots)
            raise

    def _make_store(self, environment: Mapping[str, str]) -> Store:
        is_temporary = self._directory.path is None
        self._roots = self._directory.open()
        if is_temporary:
            logger.info("backend %r runs its jobs in %s", self.control.name, self._roots.run_dir)
        keep, soft_steps = self._settings.max_output_dirs, self._settings.soft_steps
        passed = self.queue.system.passes_environment
        store = Store(self._roots, JobFiles(self._roots, environment, keep, soft_steps, passed=passed))
        try:
            store.lay_out(self.queue.system.prologue)
        except BaseException:
            self._directory.close(self._roots)
            raise
        return store

    def _connect(self, files: Files) -> None:
        """Make the members; each owns one thing, and knows those that it calls."""
        control, queue = self.control, self.queue
        reactor, schedule = Reactor(self._settings.visibility_timeout), self._schedule
        visibility_timeout = self._settings.visibility_timeout
        hook_limiter = trio.CapacityLimiter(HOOK_THREADS)
        finisher = self._finisher = Finisher(trio.CapacityLimiter(_VERDICT_THREADS), hook_limiter)
        self._log_watch = LogWatch(control, finisher.verdicts, self.has_ended, visibility_timeout)
        excluder = Excluder(control, queue, lambda: tracker.waiting_arrays())  # noqa: PLW0108 - it is made below
        completer = Completer(control, files, finisher, self._log_watch, excluder, queue.system, visibility_timeout)
        tracker = JobTracker(control, files, reactor, completer, self._log_watch, self._expect_soft_step)
        self._tracker = tracker
        self._canceller = Canceller(control, queue, files, reactor, tracker)
        self._poller = QueuePoller(queue, schedule, files, reactor, tracker)
        self._adopter = Adopter(control, queue, files, reactor, schedule, tracker, self._settings.kill_timeout)
        preparer = Preparer(control, queue, files, reactor, hook_limiter)
        self._submitter = Submitter(
            control, queue, files, reactor, preparer, schedule, excluder, tracker, visibility_timeout
        )

    async def serve(self) -> None:
        """Take the steps of stops and ask the queue, whenever one of both is due."""
        self.control.start_task(self._finisher.verdicts.run)
        self.control.start_task(self._log_watch.run)
        while True:
            await self._poller.wait_due()
            # One task cancels and queries: so a cancel always goes to elements of the last listing.
            await self._canceller.cancel_due()
            await self._poller.poll()

    async def teardown(self) -> None:
        """Cancel what is left in the queue, and close the run directory."""
        try:
            await self._canceller.cancel_rest()
        finally:
            self._directory.close(self._roots)

    # ------------------------------------------------------------------ jobs

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Adopt those of `jobs` that are in the queue already, and submit the others."""
        if self.queue.pace.is_open:
            why = f"{self.queue.system.name} does not answer"
            logger.info("backend %r is busy: %s", self.control.name, why)
            for job in jobs:
                self.control.refuse(job, why)
            return
        begun = self.control.begin_all(jobs)
        await self._submitter.submit(await self._adopter.adopt(begun))

    def take_back(self, job: LiveJob) -> bool:
        """Return whether nothing of `job` was submitted, or will be."""
        batch_job: BatchJob | None = job.data
        return batch_job is None or batch_job.element.state is PREPARED

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Let the next step of the loop begin to stop `jobs`."""
        for job in jobs:
            self._tracker.stop(job.data)
        self._schedule.hurry()

    def force(self, jobs: Sequence[LiveJob]) -> None:
        """Let the next step of the loop cancel `jobs`, also if their soft steps have not ended."""
        for job in jobs:
            self._tracker.force(job.data)
        self._schedule.hurry()

    def _expect_soft_step(self, seconds: float) -> None:
        """Make `kill_deadline`, which is one for all jobs, late enough for a soft step of so many seconds."""
        kill_timeout = self._settings.kill_timeout
        if kill_timeout is not None:
            self.kill_deadline = later(self.kill_deadline, None if seconds == math.inf else seconds + kill_timeout)

    def has_ended(self, job: LiveJob) -> bool:
        """Return whether only the verdict on `job` is missing: finding that has no time limit."""
        batch_job: BatchJob | None = job.data
        return batch_job is not None and batch_job.element.state is FINISHING

    def describe_wait(self, job: LiveJob) -> str:
        """Return what `job` waits for: a line of its log, or its turn in the queue."""
        return self._log_watch.describe_wait(job) or super().describe_wait(job)
