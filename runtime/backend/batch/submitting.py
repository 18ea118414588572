"""`Submitter`: from jobs to arrays that are certainly in the queue."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Final

import trio

from runtime.backend.batch.array_index import ArrayEntry
from runtime.backend.batch.excluding import Excluder
from runtime.backend.batch.files import Files
from runtime.backend.batch.grouping import chunks, group
from runtime.backend.batch.job import BatchJob
from runtime.backend.batch.job_tracker import JobTracker
from runtime.backend.batch.preparing import Preparer
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.reactor import Reactor
from runtime.backend.batch.schedule import Schedule
from runtime.backend.batch.submission import Outcome, Submission
from runtime.backend.batch.system import Accepted, Array, QueueFull, Refused, Unanswered
from runtime.backend.batch.tokens import array_name
from runtime.backend.contract.control import Control
from runtime.backend.contract.live import DONE, LiveJob
from runtime.job import FailureKind
from runtime.process import is_out_of_resources

logger: Final = logging.getLogger("runtime.backend.batch")

_PREPARE_BATCH: Final = 64
"""Jobs that are prepared in one call of a thread, which takes some 10 ms. Arbitrary: with a tenth, the hops to threads
take a tenth of the time; ten times as many save hardly anything more."""


class Submitter:
    """Submits jobs as arrays.

    Args:
        control: records what happens to the jobs.
        queue: the queue.
        files: the files of the run.
        reactor: the elements that may be in the queue.
        preparer: prepares the jobs.
        schedule: when the queue is asked, also for arrays that are in doubt.
        excluder: knows the nodes that jobs must not run on.
        tracker: follows the jobs whose arrays were accepted.
        visibility_timeout: how long an element waits for its file to appear, in seconds.
    """

    def __init__(
        self,
        control: Control,
        queue: Queue,
        files: Files,
        reactor: Reactor,
        preparer: Preparer,
        schedule: Schedule,
        excluder: Excluder,
        tracker: JobTracker,
        visibility_timeout: float,
    ) -> None:
        self._control = control
        self._queue = queue
        self._files = files
        self._reactor = reactor
        self._preparer = preparer
        self._schedule = schedule
        self._excluder = excluder
        self._tracker = tracker
        self._visibility_timeout = str(math.ceil(visibility_timeout))
        self._lock = trio.Lock()  # one array at a time, as all users share the controller

    async def submit(self, jobs: Sequence[LiveJob]) -> None:
        """Prepare jobs whose launch has begun, and submit them. Those that were not accepted are refused."""
        prepared: list[BatchJob] = []
        is_submitting = False

        def ready(job: BatchJob) -> None:
            job.live.data = job
            if is_submitting:  # the others are on their way: it is submitted alone
                slow.start_soon(self._submit_group, [job])
            else:
                prepared.append(job)

        async with trio.open_nursery() as slow:
            async with trio.open_nursery() as nursery:
                for live in jobs:
                    if live.spec.pre_launch is not None:
                        nursery.start_soon(self._preparer.prepare, [live], ready, nursery)
                # A group that hangs in its file system must not hold up the rest: it goes on in the outer nursery.
                others = [live for live in jobs if live.spec.pre_launch is None]
                for some in chunks(others, _PREPARE_BATCH):
                    await self._preparer.prepare(some, ready, slow)
            is_submitting = True
            order = {live.id: number for number, live in enumerate(jobs)}
            prepared.sort(key=lambda job: order[job.live.id])
            for some_jobs in group(prepared, lambda job: job.request).values():
                await self._submit_group(some_jobs)

    @trio.lowlevel.enable_ki_protection
    async def _submit_group(self, jobs: Sequence[BatchJob]) -> None:
        """Submit jobs with equal requests, in arrays as large as the queue accepts."""
        waiting = list(jobs)
        async with self._lock:
            await self._queue.probe()  # does nothing, unless the system did not answer when the backend was opened
            size = self._queue.limits.max_array
            while waiting := [job for job in waiting if job.live.stage is not DONE]:
                some = waiting[:size]
                answer = await self._submit_array(some)
                if isinstance(answer, Accepted):
                    del waiting[: len(some)]
                elif isinstance(answer, Refused):
                    message = f"{self._queue.system.name} refused it: {answer.why}"
                    for job in some:
                        self._control.fail(job.live, FailureKind.LAUNCH_ERROR, message)
                elif isinstance(answer, QueueFull) and len(some) > 1:
                    size = len(some) // 2
                else:
                    logger.info("backend %r is busy: %s", self._queue.backend, answer.why)
                    for job in waiting:
                        self._preparer.refuse(job.live, job.progress, answer.why)

    async def _submit_array(self, jobs: Sequence[BatchJob]) -> Outcome:
        """Submit one array, and report its jobs as launched if it is accepted."""
        elements = [job.element for job in jobs]
        excluded = self._excluder.excluded
        name = array_name(self._control.run_token, [element.token for element in elements])
        # Before the files are written: a job that is killed meanwhile is part of the array, and cannot be taken back.
        entry = self._reactor.submit(name, elements)
        try:
            directory = await self._files.run(self._files.store.write_array, name, [job.member for job in jobs])
        except OSError as exc:
            answer: Outcome = (QueueFull if is_out_of_resources(exc) else Refused)(
                f"its files cannot be written: {exc}"
            )
        else:
            script = self._files.store.wrapper
            arguments = directory, self._visibility_timeout
            array = Array(name, len(jobs), jobs[0].request, script, arguments, excluded)
            answer = await self._submit_until_known(array, entry)
        if isinstance(answer, Accepted):
            self._reactor.accept(entry, elements, answer.array)
            for job in jobs:
                self._tracker.follow(job)
            self._excluder.note_accepted(excluded)
            self._schedule.expect_change()
        else:
            self._reactor.withdraw(elements)
        return answer

    async def _submit_until_known(self, array: Array, entry: ArrayEntry) -> Outcome:
        """Submit an array, and find out whether it was accepted."""
        submission = Submission(entry)
        outcome = None
        while outcome is None:
            answer = await self._queue.system.submit(array)
            outcome = submission.on_answer(answer)
            if outcome is None:
                message = "backend %r: it is not known whether array %s was submitted: %s"
                logger.warning(message, self._queue.backend, array.name, getattr(answer, "why", ""))
                for _ in range(2):  # one listing may be older than the array
                    if not entry.ids:
                        await self._schedule.next_answer()
                outcome = submission.on_search(trio.current_time())
        if isinstance(outcome, Unanswered):
            self._queue.pace.failed()
            self._schedule.ask()  # the circuit is closed by an answer only
        return outcome
