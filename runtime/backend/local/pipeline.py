"""`LaunchPipeline`: launches the jobs of a backend, from their submission until each runs, or is known not to.

::

    launch ──► slices ──► shims ──► begin ──┬─ Way.SHIM ──► launch_by_shim ──┐
                                            └─ others ──► launch_in_thread ──┴──► wait until started ──► `started`
                                                 ▲                                        │
                                                 └──────── files that a shim cannot make ─┘

Whatever else comes of a launch goes through `_settle`.
"""

from __future__ import annotations

import logging
import math
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.live import LiveJob
from runtime.backend.job_paths import job_paths
from runtime.backend.launch_progress import LaunchProgress
from runtime.backend.local.guards import Guards
from runtime.backend.local.launch import (
    CalledOff,
    DryRun,
    Launch,
    LaunchContext,
    Launched,
    Way,
    discard,
    launch_by_shim,
    launch_in_thread,
    needed_paths,
)
from runtime.backend.local.launch_errors import NotLaunched, OutOfResources, explain
from runtime.backend.local.local_job import LocalJob
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.process import SIGCHLD_IGNORED, NotMadeError, Work, each_in_thread, ignores_sigchld
from runtime.process.filesystems import STALLED

logger: Final = logging.getLogger("runtime.backend.local")

_SLICE: Final = 8
"""Jobs that are launched in one call of a thread. Such a call costs a tenth of starting a process, so one call for
eight is cheap; with many more, a job that is to be killed waits for the launch of its whole slice."""

_SLICES_AT_ONCE: Final = {"tree": 1, "group": 6}
"""Slices of one submission that are launched concurrently, by containment. A thread that starts a process itself waits,
without the interpreter's lock, until the child has executed its program; the wait is longer on a busy machine. A start
by a shim is not waited for. Measured on two busy processors: 520 jobs/s with 1 slice and 1,390 with 6, where a bare
`posix_spawn` reached 1,570; on idle ones 1,390 and 1,490."""


class LaunchPipeline:
    """Launches jobs.

    Args:
        control: records what comes of each launch.
        context: how jobs are launched.
        guards: have shims.
        threads: limits the threads that launch.
        hooks: limits the threads that call hooks.
        started: called with each job that has started.
    """

    def __init__(
        self,
        control: Control,
        context: LaunchContext,
        guards: Guards,
        threads: trio.CapacityLimiter,
        hooks: trio.CapacityLimiter,
        started: Callable[[LocalJob], object],
    ) -> None:
        self._control = control
        self._context = context
        self._guards = guards
        self._threads = threads
        self._hooks = hooks
        self._started = started
        self._is_contained = context.options.containment == "tree"
        self._refused: weakref.WeakKeyDictionary[JobSpec, LaunchProgress] = weakref.WeakKeyDictionary()
        """The progress of refused launches, so that another submission of the job does not repeat what was done."""

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Launch jobs; return when it is known of each whether it runs. See `Driver.launch`."""
        way_of = self._context.way_of
        launches = [Launch(job, way_of(job.spec, job.attempt)) for job in jobs]
        others = [launch for launch in launches if launch.way is not Way.HOOK]
        async with trio.open_nursery() as nursery:
            for launch in launches:
                if launch.way is Way.HOOK:
                    nursery.start_soon(self._launch_slice, [launch], self._hooks, nursery)
            count = _SLICES_AT_ONCE[self._context.options.containment]
            size = max(1, min(_SLICE, math.ceil(len(others) / count)))
            slices = [others[start : start + size] for start in range(0, len(others), size)]
            queue = iter(slices)
            for _ in slices[1:count]:
                nursery.start_soon(self._launch_slices, queue, nursery)
            await self._launch_slices(queue, nursery)

    @trio.lowlevel.enable_ki_protection
    async def _launch_slices(self, slices: Iterator[Sequence[Launch]], nursery: trio.Nursery) -> None:
        """Launch slices until there are none left. Several tasks may take from `slices`."""
        for launches in slices:
            await self._launch_slice(launches, self._threads, nursery)

    @trio.lowlevel.enable_ki_protection
    async def _launch_slice(
        self, launches: Sequence[Launch], limiter: trio.CapacityLimiter, nursery: trio.Nursery
    ) -> None:
        """Begin some launches; tasks in `nursery` wait until the jobs have started."""
        started: list[tuple[Launch, LocalJob]] = []
        in_thread: list[Launch] = []
        for launch in await self._with_shims(launches):
            if not self._control.begin(launch.job):
                launch.give_back_shim()
                continue
            result = self._launch_now(launch)
            if result is None:
                in_thread.append(launch)
            elif isinstance(result, LocalJob):
                started.append((launch, result))
            else:
                self._settle(launch, result)
        if started:
            nursery.start_soon(self._wait_started, started, nursery)
        if in_thread:
            await self._launch_in_thread(in_thread, limiter, nursery)
        else:
            await trio.lowlevel.checkpoint()  # launching many slices without one would block the loop for long

    def _launch_now(self, launch: Launch) -> LocalJob | NotLaunched | OutOfResources | None:
        """Launch a job without a thread, or find out that it cannot be launched; `None` if it needs a thread."""
        spec: JobSpec = launch.job.spec
        try:
            launch.job.paths = job_paths(spec, self._context.roots.run_dir)
        except Exception as exc:  # noqa: BLE001 - it fails its own job, and no other
            return explain(exc, spec)
        if launch.way is Way.SHIM and launch.shim is not None:
            return launch_by_shim(self._context, launch, launch.shim)
        if launch.shim is None and not spec.dry_run and self._is_contained and ignores_sigchld():
            # The system reaps our own children while SIGCHLD is ignored, and their exit codes are lost.
            return NotLaunched(f"has containment 'group', which cannot be: {SIGCHLD_IGNORED}")
        return None

    async def _with_shims(self, launches: Sequence[Launch]) -> Sequence[Launch]:
        """Give a shim to each job that needs one. Those that get none are left out, and so refused."""
        needy = [launch for launch in launches if launch.way is Way.SHIM or self._context.needs_shim(launch.job.spec)]
        if not needy:
            return launches
        shims, error = await self._guards.take(len(needy))
        if error is not None:
            self._control.busy_because = explain(error).why
            logger.info("backend %r is busy: %s", self._control.name, self._control.busy_because)
        for launch, shim in zip(needy, shims, strict=False):
            launch.shim = shim
        left_out = needy[len(shims) :]
        return [launch for launch in launches if launch not in left_out] if left_out else launches

    async def _launch_in_thread(
        self, launches: Sequence[Launch], limiter: trio.CapacityLimiter, nursery: trio.Nursery
    ) -> None:
        for launch in launches:
            launch.progress = self._progress_of(launch.job)

        def done(results: Sequence[tuple[Launch, Launched]]) -> None:
            started: list[tuple[Launch, LocalJob]] = []
            for launch, result in results:
                if isinstance(result, LocalJob) and launch.shim is None:
                    self._started(result)  # it runs already: only a shim tells that later
                elif isinstance(result, LocalJob):
                    started.append((launch, result))
                else:
                    self._settle(launch, result)
            if started:
                nursery.start_soon(self._wait_started, started, nursery)

        context = self._context
        work = Work(
            lambda launch: launch_in_thread(context, launch),
            launches,
            discard,
            lambda launch: needed_paths(context, launch),
        )
        try:
            await each_in_thread(work, limiter=limiter, nursery=nursery, done=done, wait_for_thread=False)
        except OSError as exc:  # no thread could be started
            for launch in work.left():
                if launch.shim is not None:
                    launch.shim.close()  # not given back: it keeps the process slot that the next thread needs
                    launch.shim = None
                self._settle(launch, explain(exc, launch.job.spec))

    @trio.lowlevel.enable_ki_protection
    async def _wait_started(self, started: Sequence[tuple[Launch, LocalJob]], nursery: trio.Nursery) -> None:
        """Wait until each job has started or has failed to start."""
        left = deque(started)
        not_made: list[Launch] = []
        with trio.move_on_after(STALLED if len(started) > 1 else math.inf):
            while left:
                launch, job = left[0]
                try:
                    await job.tree.wait_started()  # the only await, so that a cancel cannot leave a job half recorded
                except NotMadeError:
                    not_made.append(launch)
                except (OSError, ValueError) as exc:
                    job.close()
                    launch.shim = None  # its supervisor has it back already
                    self._settle(launch, explain(exc, launch.job.spec))
                else:
                    self._started(job)
                left.popleft()
        # The file system of the first one does not answer. From now on each waits in a task of its own, because the
        # file systems of the others may answer.
        for one in left:
            nursery.start_soon(self._wait_started, [one], nursery)
        if not_made:
            await self._launch_in_thread(not_made, self._threads, nursery)

    def _settle(self, launch: Launch, result: NotLaunched | OutOfResources | CalledOff | DryRun) -> None:
        """Record a launch after which no process runs."""
        job = launch.job
        launch.give_back_shim()
        if isinstance(result, OutOfResources):
            logger.info("backend %r is busy: job %r %s", self._control.name, job.id, result.why)
            if launch.progress is not None:
                self._refused[job.spec] = launch.progress
            self._control.refuse(job, result.why)
        elif isinstance(result, NotLaunched):
            self._control.fail(job, FailureKind.LAUNCH_ERROR, result.why)
        elif isinstance(result, CalledOff):
            self._control.finish_stopped(job)
        else:
            self._control.started(job)
            self._control.finish(job, JobStatus.PASSED)

    def _progress_of(self, job: LiveJob) -> LaunchProgress:
        progress = self._refused.pop(job.spec, None) if self._refused else None
        return progress if progress is not None and progress.attempt == job.attempt else LaunchProgress(job.attempt)
