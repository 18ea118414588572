"""`SubmittingSide`: from specifications to arrays that are certainly in the queue."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Sequence
from typing import Final

import attrs
import trio

from runtime.backend.batch.adopting import AdoptingSide
from runtime.backend.batch.array_index import ArrayEntry
from runtime.backend.batch.base import DEFAULT_LIMITS, DOUBT_TIMEOUT
from runtime.backend.batch.element import Element, LaunchProgress
from runtime.backend.batch.grouping import chunks, group, halves
from runtime.backend.batch.system import (
    Accepted,
    Array,
    Busy,
    Doubtful,
    Refused,
    Unanswered,
)
from runtime.backend.batch.tokens import array_name, job_token
from runtime.backend.contract.live import LiveJob, Stage
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.process import Work, each_in_thread, is_out_of_resources

logger: Final = logging.getLogger("runtime.backend.batch")

_PREPARE_BATCH: Final = 64
"""Jobs that are prepared in one call of a thread, which takes some 10 ms. Arbitrary: with a tenth, the hops to threads
take a tenth of the time; ten times as many save hardly anything more."""


_Preparation = tuple[LiveJob, LaunchProgress]


@attrs.define(eq=False)
class _Ready:
    """The jobs of a submission whose files are ready, with their requests."""

    pairs: list[tuple[Element, Hashable]] | None
    """`None` once they are being submitted; a job that is ready later is submitted alone."""


class SubmittingSide(AdoptingSide):
    """Prepares jobs, and submits them as arrays."""

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Prepare `jobs`, and submit them."""
        if self._pace.is_open:
            why = f"{self._system.name} does not answer"
            logger.info("backend %r is busy: %s", self.control.name, why)
            for job in jobs:
                self.control.refuse(job, why)
            return
        begun = self.control.begin_all(jobs)
        if self._adoptable or self._absent:
            begun = await self._without_adopted(begun)
        ready = _Ready([])
        async with trio.open_nursery() as slow:
            async with trio.open_nursery() as nursery:
                for job in begun:
                    if job.spec.pre_launch is not None:  # it may block for long: a thread for each
                        nursery.start_soon(self._prepare, [job], self._hook_limiter, ready, nursery)
                # A group that hangs in its file system must not hold up the rest: it goes on in the outer nursery.
                others = [job for job in begun if job.spec.pre_launch is None]
                for some in chunks(others, _PREPARE_BATCH):
                    await self._prepare(some, self._file_limiter, ready, slow)
            pairs, ready.pairs = ready.pairs or [], None
            order = {id(job): number for number, job in enumerate(begun)}
            pairs.sort(key=lambda pair: order[id(pair[0].job)])
            for request, some_pairs in group(pairs, lambda pair: pair[1]).items():
                await self._submit_group([element for element, _ in some_pairs], request)

    @trio.lowlevel.enable_ki_protection
    async def _prepare(
        self, jobs: Sequence[LiveJob], limiter: trio.CapacityLimiter, ready: _Ready, nursery: trio.Nursery
    ) -> None:
        """Prepare jobs in a thread; add those that can be submitted to `ready`, and complete or refuse the others.

        A job whose file system does not answer is prepared by a task of `nursery`, and is submitted alone.
        """

        def done(results: Sequence[tuple[_Preparation, tuple[Element, Hashable] | Busy | str]]) -> None:
            for (job, progress), result in results:
                if job.stage is Stage.DONE:
                    continue
                if isinstance(result, Busy):
                    self._launch_progress[job.spec] = progress
                    self.control.refuse(job, result.why)
                    continue
                if isinstance(result, str):
                    self.control.fail(job, FailureKind.LAUNCH_ERROR, result)
                elif job.spec.dry_run:
                    self.control.started(job)
                    self.control.finish(job, JobStatus.PASSED)
                else:
                    job.data, request = result
                    self._extend_kill_deadline(job.data.soft)
                    if ready.pairs is None:
                        nursery.start_soon(self._submit_group, [job.data], request)
                    else:
                        ready.pairs.append(result)

        work = Work(self._prepare_one, [(job, self._take_launch_progress(job)) for job in jobs])
        await each_in_thread(work, limiter=limiter, nursery=nursery, done=done)

    def _prepare_one(self, preparation: _Preparation) -> tuple[Element, Hashable] | Busy | str:
        """Prepare a job's files and call its `pre_launch`; return its element and request.

        Returns `Busy` if it cannot be launched now, or text if it never can be.
        """
        job, progress = preparation
        spec: JobSpec = job.spec
        try:
            request = self._system.request(spec)
            token = job_token(self.control.run_token, job.id, job.attempt)
            if token in self._finished:
                self._store.forget(token)
            paths = self._find_files(job)
            self._store.prepare(spec, paths, renew=not progress.renewed)
            progress.renewed = True
            soft = self._soft_steps.of(spec, str(paths.odir), self._roots.resolve)
            element = Element(job, token, paths, soft, progress)
            # Before the hook: a job that cannot be written down must have no side effects.
            self._store.check(element.member)
            if spec.pre_launch is not None and not progress.hooked and not spec.dry_run:
                try:
                    spec.pre_launch()
                except BaseException as exc:  # noqa: BLE001 - whatever a hook raises costs its own job, and no other
                    return f"pre_launch raised {exc!r}"
            progress.hooked = True
        except Exception as exc:  # noqa: BLE001 - text that is no file name, say: the job's fault, and its loss alone
            message = f"cannot be prepared: {str(exc) or repr(exc)}"
            return Busy(message) if is_out_of_resources(exc) else message
        return element, request

    def _take_launch_progress(self, job: LiveJob) -> LaunchProgress:
        progress = self._launch_progress.pop(job.spec, None)
        return progress if progress is not None and progress.attempt == job.attempt else LaunchProgress(job.attempt)

    def take_back(self, job: LiveJob) -> bool:
        """Whether nothing of `job` was submitted."""
        return job.data is None or not job.data.sent

    @trio.lowlevel.enable_ki_protection
    async def _submit_group(self, elements: Sequence[Element], request: Hashable) -> None:
        """Submit jobs with equal requests, in arrays as large as the queue accepts."""
        waiting = list(elements)
        async with self._submit_lock:  # one array at a time, as all users share the controller
            if self.system_limits is DEFAULT_LIMITS:  # the system did not answer when the backend was opened
                await self._probe()
            size = self.system_limits.max_array
            while waiting := [element for element in waiting if element.job.stage is not Stage.DONE]:
                some = waiting[:size]
                answer = await self._submit_array(some, request)
                if isinstance(answer, Accepted):
                    del waiting[: len(some)]
                elif isinstance(answer, Refused):
                    for element in some:
                        message = f"{self._system.name} refused it: {answer.why}"
                        self.control.fail(element.job, FailureKind.LAUNCH_ERROR, message)
                elif isinstance(answer, Busy) and len(some) > 1:
                    size = halves(len(some))
                else:
                    logger.info("backend %r is busy: %s", self.control.name, answer.why)
                    for element in waiting:
                        self._launch_progress[element.job.spec] = element.progress
                        self.control.refuse(element.job, answer.why)

    async def _submit_array(self, some: Sequence[Element], request: Hashable) -> Accepted | Busy | Refused | Unanswered:
        """Submit one array, and report its jobs as launched if it is accepted."""
        tokens = [element.token for element in some]
        name = array_name(self.control.run_token, tokens)
        for element in some:
            element.name = name
            element.sent = True  # from here on it is part of the array, and cannot be taken back
        try:
            directory = await self._in_thread(self._store.write_array, name, [element.member for element in some])
        except OSError as exc:
            return (Busy if is_out_of_resources(exc) else Refused)(f"its files cannot be written: {exc}")
        arguments = (directory, str(math.ceil(self._visibility_timeout)))
        array = Array(name, len(some), request, self._store.wrapper, arguments)
        entry = self._array_index.put(name, tokens)
        # Before the submission: what a listing has in the meantime is no stray.
        self._elements.update((element.token, element) for element in some)
        answer = await self._submit_until_known(array, entry)
        if not isinstance(answer, Accepted):
            for element in some:
                element.sent = False
                self._elements.pop(element.token, None)
            return answer
        entry.ids.add(answer.array)
        for index, element in enumerate(some):
            element.array, element.index = answer.array, index
            if not self.control.queued(element.job):  # it completed meanwhile, by a deadline
                self._make_stray(element)
        self._pace.hurry()
        self._poll_requested.set()
        return answer

    async def _submit_until_known(self, array: Array, entry: ArrayEntry) -> Accepted | Busy | Refused | Unanswered:
        """Submit an array, and find out whether it was accepted."""
        answer = await self._system.submit(array)
        again = True
        while isinstance(answer, Doubtful):
            logger.warning(
                "backend %r: it is not known whether array %s was submitted: %s",
                self.control.name,
                array.name,
                answer.why,
            )
            entry.doubtful_until = math.inf  # so that the queue is asked for its name
            turned_up = await self._is_in_queue(entry.ids)
            entry.doubtful_until = trio.current_time() + DOUBT_TIMEOUT
            if turned_up:
                return Accepted(min(entry.ids))
            if answer.busy:
                return Busy(answer.why)
            # Once more under the same name: should both be accepted, the claims let each job run once.
            answer = await self._system.submit(array) if again else Unanswered(answer.why)
            again = False
        if isinstance(answer, Unanswered):
            self._pace.failed()
            self._poll_requested.set()  # the circuit is closed by an answer only
        return answer

    async def _is_in_queue(self, ids: set[str]) -> bool:
        """Return whether the array with these ids is in the queue: true once a listing has it, false if two do not."""
        for _ in range(2):
            if not ids:
                await self._next_answer()
        return bool(ids)
