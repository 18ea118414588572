"""`Preparer`: from specifications to jobs whose files are ready, so that they can be submitted."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Final

import trio

from runtime.backend.batch.element import Element
from runtime.backend.batch.files import Files
from runtime.backend.batch.job import BatchJob
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.reactor import Reactor
from runtime.backend.batch.system import QueueFull
from runtime.backend.batch.tokens import job_token
from runtime.backend.contract.control import Control
from runtime.backend.contract.live import DONE, LiveJob
from runtime.backend.job_paths import job_paths
from runtime.backend.launch_progress import LaunchProgress
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.process import Work, each_in_thread, is_out_of_resources

HOOK_THREADS: Final = 64
"""Threads that call hooks. Arbitrary: with a tenth, a few slow hooks of users hold up the launch of all jobs; ten times
as many are seldom needed."""

_Preparation = tuple[LiveJob, LaunchProgress]


class Preparer:
    """Prepares jobs: makes their files, and calls their `pre_launch`.

    Args:
        control: records what happens to the jobs.
        queue: knows what a job requests.
        files: the files of the run.
        reactor: knows which jobs have run before.
        hook_limiter: limits the threads that call hooks.
    """

    def __init__(
        self, control: Control, queue: Queue, files: Files, reactor: Reactor, hook_limiter: trio.CapacityLimiter
    ) -> None:
        self._control = control
        self._system = queue.system
        self._files = files
        self._reactor = reactor
        self._hook_limiter = hook_limiter
        # Weak, so that jobs which the caller does not submit again are forgotten.
        self._progress: weakref.WeakKeyDictionary[JobSpec, LaunchProgress] = weakref.WeakKeyDictionary()

    @trio.lowlevel.enable_ki_protection
    async def prepare(
        self, jobs: Sequence[LiveJob], ready: Callable[[BatchJob], object], nursery: trio.Nursery
    ) -> None:
        """Prepare jobs in a thread; call `ready` for those that can be submitted, and complete or refuse the others.

        A job whose file system does not answer is prepared by a task of `nursery`.
        """

        def done(results: Sequence[tuple[_Preparation, BatchJob | QueueFull | str]]) -> None:
            for (live, progress), result in results:
                if live.stage is DONE:  # killed meanwhile
                    continue
                if isinstance(result, QueueFull):
                    self.refuse(live, progress, result.why)
                elif isinstance(result, str):
                    self._control.fail(live, FailureKind.LAUNCH_ERROR, result)
                elif live.spec.dry_run:
                    self._control.started(live)
                    self._control.finish(live, JobStatus.PASSED)
                else:
                    ready(result)

        # A hook may block for long: its job has a thread of its own, of another limit.
        limiter = self._files.limiter if jobs[0].spec.pre_launch is None else self._hook_limiter
        work = Work(self._prepare_one, [(live, self._take_progress(live)) for live in jobs])
        await each_in_thread(work, limiter=limiter, nursery=nursery, done=done)

    def refuse(self, live: LiveJob, progress: LaunchProgress, why: str) -> None:
        """Refuse a job, and remember what needs not be done again when it is submitted again."""
        self._progress[live.spec] = progress
        self._control.refuse(live, why)

    def _take_progress(self, live: LiveJob) -> LaunchProgress:
        progress = self._progress.pop(live.spec, None)
        return progress if progress is not None and progress.attempt == live.attempt else LaunchProgress(live.attempt)

    def _prepare_one(self, preparation: _Preparation) -> BatchJob | QueueFull | str:
        """Prepare one job. Blocks.

        Returns `QueueFull` if it cannot be launched now, or text if it never can be.
        """
        live, progress = preparation
        spec: JobSpec = live.spec
        store = self._files.store
        try:
            request = self._system.request(spec)
            token = job_token(self._control.run_token, live.id, live.attempt)
            if token in self._reactor.finished:
                store.forget(token)
            live.paths = job_paths(spec, store.run_dir)
            paths = store.job_files.locate(live.paths)
            store.job_files.prepare(spec, paths, live.attempt, renew=not progress.renewed)
            progress.renewed = True
            job = BatchJob(live, Element(token), paths, store.job_files.soft_step(spec, paths), request, progress)
            # Before the hook: a job that cannot be written down must have no side effects.
            store.job_files.check(job.member)
            if spec.pre_launch is not None and not progress.hooked and not spec.dry_run:
                try:
                    spec.pre_launch()
                except BaseException as exc:  # noqa: BLE001 - an exception of a hook fails its own job, and no other
                    return f"pre_launch raised {exc!r}"
            progress.hooked = True
        except Exception as exc:  # noqa: BLE001 - such as text that is not a file name: it fails its own job, and no other
            message = f"cannot be prepared: {str(exc) or repr(exc)}"
            return QueueFull(message) if is_out_of_resources(exc) else message
        return job
