"""`JobTracker`: the jobs that are in the queue, from the acceptance of their arrays to their completions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

from runtime.backend.batch.completing import Completer
from runtime.backend.batch.element import FINISHING, SUBMITTED, Element
from runtime.backend.batch.files import Files
from runtime.backend.batch.job import BatchJob
from runtime.backend.batch.reactor import Reactor
from runtime.backend.batch.transitions import Moved, Transition, Unexpected
from runtime.backend.contract.control import Control
from runtime.backend.contract.live import DONE
from runtime.backend.log_watch import LogWatch, is_watched
from runtime.job import FailureKind, JobStatus
from runtime.verdict import too_large

logger: Final = logging.getLogger("runtime.backend.batch")


class JobTracker:
    """Reports what has become of jobs.

    Args:
        control: records what happens to the jobs.
        files: the files of the run.
        reactor: the elements that may be in the queue.
        completer: completes jobs that have ended.
        log_watch: watches the logs of jobs that run.
        expect_soft_step: is told how many seconds the soft step of each job may take.
    """

    def __init__(
        self,
        control: Control,
        files: Files,
        reactor: Reactor,
        completer: Completer,
        log_watch: LogWatch,
        expect_soft_step: Callable[[float], object],
    ) -> None:
        self._control = control
        self._files = files
        self._reactor = reactor
        self._completer = completer
        self._log_watch = log_watch
        self._expect_soft_step = expect_soft_step
        self._jobs: dict[str, BatchJob] = {}
        """The jobs whose elements are SUBMITTED or FINISHING, by token."""
        self._measures_logs = False

    def follow(self, job: BatchJob) -> None:
        """Report a job as launched, and follow it."""
        self._jobs[job.element.token] = job
        self._expect_soft_step(job.soft_seconds)
        if not self._control.queued(job.live):  # it was given up meanwhile, at a deadline
            self._abandon(job)

    def job_of(self, element: Element) -> BatchJob:
        """Return the job of an element that is followed.

        Raises:
            KeyError: if it is not.
        """
        return self._jobs[element.token]

    def waiting_arrays(self) -> dict[str, Hashable]:
        """Return the arrays of which elements wait in the queue: from the id to what the jobs request."""
        return {
            job.element.array: job.request
            for job in self._jobs.values()
            if job.element.state is SUBMITTED
            and job.element.history.status is JobStatus.QUEUED
            and job.request is not None
        }

    def stop(self, job: BatchJob) -> None:
        """Begin to stop a job; the steps are taken by the `Canceller`."""
        self._reactor.stop(job.element, job.soft_seconds)
        if job.element.state is FINISHING:  # only its verdict, or a hook, may still take long
            self._completer.hurry(job)

    def force(self, job: BatchJob) -> None:
        """Skip what is left of the soft step of a job that is being stopped."""
        self._reactor.force(job.element)

    def react(self, transitions: Iterable[tuple[Element, Transition]]) -> None:
        """Report what has become of jobs; start to complete those that have ended."""
        for element, transition in transitions:
            job = self._jobs[element.token]
            if isinstance(transition, Moved):
                self._note_moved(job, transition)
            elif isinstance(transition, Unexpected):
                where = self._completer.label(element, None)
                message = "backend %r: job %r (%s) %s"
                logger.warning(message, self._control.name, job.live.id, where, transition.why)
                self._control.progress(job.live, job.live.status, transition.why)
            else:
                self._control.start_task(self._complete, job, transition)

    def _note_moved(self, job: BatchJob, moved: Moved) -> None:
        live = job.live
        if moved.status is JobStatus.RUNNING and is_watched(live.spec):
            if self._log_watch.add(live, job.paths.log, moved.note):
                return  # its process runs, and it waits for a line of its log
        elif moved.status is JobStatus.QUEUED and self._log_watch.remove(live):
            self._control.wait_anew(live)
        self._control.progress(live, moved.status, moved.note)

    async def _complete(self, job: BatchJob, transition: Transition) -> None:
        try:
            await self._completer.complete(job, transition)
        finally:
            self._reactor.finish(job.element)
            del self._jobs[job.element.token]

    def abandon_completed(self) -> None:
        """Stop to follow the jobs that were given up at a deadline: their elements may be alive, and are strays now."""
        for job in [each for each in self._jobs.values() if each.live.stage is DONE]:
            if job.element.state is SUBMITTED:
                self._abandon(job)

    def _abandon(self, job: BatchJob) -> None:
        self._reactor.abandon(job.element)
        del self._jobs[job.element.token]

    def limit_logs(self) -> None:
        """Start a task that stops the jobs whose logs are larger than their limit, unless one runs."""
        limited = [
            each
            for each in self._jobs.values()
            if each.live.spec.max_log is not None and each.live.stop is None and each.element.state is SUBMITTED
        ]
        if limited and not self._measures_logs:
            self._measures_logs = True
            self._control.start_task(self._stop_too_large, limited)

    async def _stop_too_large(self, limited: Sequence[BatchJob]) -> None:
        try:
            found = await self._files.run(lambda: [too_large(each.live.spec, each.paths.log) for each in limited])
        finally:
            self._measures_logs = False
        for each, message in zip(limited, found, strict=True):
            if message is not None and each.element.state is SUBMITTED:
                self._control.stop([each.live], FailureKind.LOG_LIMIT, message)
