"""`LocalDriver`: launches, watches, stops and completes the jobs of an opened `LocalBackend`.

The path of a job: jobs are launched in slices, by a shim or in a thread. When the process tree of a job has ended, its
log is judged if there is something to judge, and the job completes. One task (`_take_ends`) completes all jobs that are
contained, have a short log and need nothing special, many at a time. Each other job has a task of its own (`_watch`),
and its log is judged in a thread.
"""

from __future__ import annotations

import logging
import math
import signal
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from runtime.backend.contract.backend import later
from runtime.backend.contract.control import Control, End
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import LiveJob
from runtime.backend.finishing import Finisher, usage_of
from runtime.backend.job_paths import job_paths
from runtime.backend.local.launch import (
    Busy,
    CalledOff,
    LaunchContext,
    Launched,
    LaunchProgress,
    LocalRun,
    NotLaunched,
    Prepared,
    discard,
    explain,
    launch,
    launch_unprepared,
    needed_paths,
)
from runtime.backend.local.options import LocalOptions
from runtime.backend.run_directory import RunDirectory
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobPaths, JobSpec, JobStatus
from runtime.process import (
    SIGCHLD_IGNORED,
    UNKNOWN,
    Exit,
    GroupTree,
    NotMadeError,
    ProcessTable,
    ProcessTree,
    TreeEnd,
    Work,
    each_in_thread,
    ignores_sigchld,
    in_thread,
)
from runtime.process.filesystems import STALLED
from runtime.process.limits import Resources, shortages
from runtime.process.memory import OomKills
from runtime.process.platform import missing
from runtime.process.standstill import Standstill
from runtime.roots import Roots
from runtime.verdict import PASSED, Verdict, explain_stop, failed

if TYPE_CHECKING:  # not available on every system
    from runtime.process.shim import Shim
    from runtime.process.supervisor import Supervisors

logger: Final = logging.getLogger("runtime.backend.local")

_SLICE: Final = 8
"""Jobs that are launched in one call of a thread. Such a call costs a tenth of starting a process, so one call for
eight is cheap; with many more, a job that is to be killed waits for the launch of its whole slice."""


_SLICES_AT_ONCE: Final = {"tree": 1, "group": 6}
"""Slices of one submission that are launched concurrently, by containment. A thread that starts a process itself waits,
without the interpreter's lock, until the child has executed its program; the wait is longer on a busy machine. A start
by a shim is not waited for. Measured on two busy processors: 520 jobs/s with 1 slice and 1,390 with 6, where a bare
`posix_spawn` reached 1,570; on idle ones 1,390 and 1,490."""

_LAUNCH_THREADS: Final = 8
_JUDGE_THREADS: Final = 6
_HOOK_THREADS: Final = 64
_STOP_FILE_THREADS: Final = 8
"""Threads for each class of blocking work. Arbitrary: ten times more compete for the interpreter's lock; of ten times
fewer, one file system that does not answer stops all. Hooks may take long, so they get more."""

_STOPPED_VERDICT_TIMEOUT: Final = 2.0
"""Seconds for the verdict and the hook of a job that was stopped, if there is no kill timeout. Arbitrary: ten times
longer delays the end of a run with a hook that hangs, ten times shorter loses the diagnosis of a long log."""

_SHELLS_SIGNAL: Final = 128
"""A shell whose program was ended by a signal exits with this plus the number of the signal."""

_TICK: Final = 1.0
_STANDSTILL: Final = 1.0
"""Seconds that a task sleeps, and seconds by which it must wake too late for our loop to count as having stood still.
Arbitrary: ten times longer charges long standstills to the jobs, ten times shorter takes a busy machine for one."""

_CATCH_UP_TIME: Final = 0.1
"""Seconds for which other tasks run first after the loop stood still, to process the events of that time. Arbitrary:
ten times longer delays time limits, ten times shorter reports jobs as lost whose ends were not read yet."""

_WATCH_INTERVAL: Final = 1.0
"""Seconds between readings of a log, for `stop_on_fail_pattern` and for `max_log`. Arbitrary: ten times longer lets a
log grow by gigabytes past its limit, ten times shorter keeps threads busy with reading."""

_SHIM_MEMORY: Final = 1_000_000
"""Bytes of a shim that it does not share with others; measured with CPython 3.11."""


_Announced = tuple[tuple[LiveJob, LocalRun], TreeEnd]
"""A job, its run, and the end of its process tree."""
_Begun = tuple[LiveJob, LaunchProgress, "Shim | None"]
"""A job whose launch has begun, the progress of the launch, and the shim that starts it, if one does."""
_Started = tuple[LiveJob, LaunchProgress, "Shim | None", LocalRun]
"""The same, and the run that was started."""


class LocalDriver(Driver):
    """Runs jobs as processes of this machine.

    Args:
        control: records what happens to the jobs.
        options: how they run.
        run_directory: the parent of the directories of jobs that name none.
        max_parallelism: how many jobs run at once, for a warning of what is short; `None` for no limit.
        lend_terminal: see `LocalBackend.lend_terminal`.
    """

    def __init__(
        self,
        control: Control,
        options: LocalOptions,
        run_directory: RunDirectory,
        max_parallelism: int | None,
        lend_terminal: Callable[[], AbstractAsyncContextManager[object]],
    ) -> None:
        super().__init__(control)
        self.kill_deadline = options.timeouts.total(0 if options.soft.stop is None else options.soft.seconds)
        self._options = options
        self._run_directory = run_directory
        self._max_parallelism = max_parallelism
        self._lend_terminal = lend_terminal
        self._paused_at: float | None = None
        """Since when its jobs are paused, in seconds of the event loop's clock; `None` if they are not."""
        self._unpaused = trio.Event()
        self._standstill = Standstill()
        self._have_stood_still = False
        """Whether our loop has stood still since the witness was last asked whether the jobs had, too."""
        self._progress_of: weakref.WeakKeyDictionary[JobSpec, LaunchProgress] = weakref.WeakKeyDictionary()
        """The progress of refused launches, so that another submission of the job does not repeat what was done."""
        self._context: LaunchContext
        self._oom_kills: OomKills
        self._supervisors: Supervisors | None = None
        self._supervisors_lock = trio.Lock()
        self._witness: Supervisors | None = None
        """The supervisors that report when no process of ours ran. With containment "tree", those of the jobs."""
        self._ended, self._ends = trio.open_memory_channel[_Announced](math.inf)
        self._launching = trio.CapacityLimiter(_LAUNCH_THREADS)
        self._judging = trio.CapacityLimiter(_JUDGE_THREADS)
        self._hooking = trio.CapacityLimiter(_HOOK_THREADS)
        self._finisher = Finisher(self._judging, self._hooking)

    async def setup(self) -> None:
        """Open the run directory and, with containment "tree", start the supervisors."""
        name, containment = self.control.name, self._options.containment
        if (why := missing()) is not None:
            msg = f"backend {name!r} cannot be opened: {why}"
            raise BackendBrokenError(msg)
        if containment == "group" and ignores_sigchld():  # with "tree", the jobs are not our children
            msg = f"backend {name!r} cannot be opened with containment 'group': {SIGCHLD_IGNORED}"
            raise BackendBrokenError(msg)
        roots: Roots | None = None
        try:
            roots = await in_thread(self._open_run_directory, limiter=self._launching, wait_for_thread=False)
            self._context = await in_thread(self._make_context, roots, limiter=self._launching, wait_for_thread=False)
            if containment == "tree":
                self._supervisors = self._witness = await self._start_supervisors()
        except BaseException as exc:
            if roots is not None:  # `teardown` is not called for a backend that was not opened
                self._run_directory.close(roots)
            if not isinstance(exc, OSError):
                raise
            msg = f"backend {name!r} cannot be opened: {exc}"
            raise BackendBrokenError(msg) from exc

    async def _start_supervisors(self) -> Supervisors:
        from runtime.process.supervisor import Supervisors  # not available on every system

        context, timeout = self._context, self._options.timeouts.kill
        supervisors = Supervisors(
            context.environment, timeout, self._launching, context.dump, context.roots.descriptors
        )
        if self._options.containment == "tree":  # else `_run_witness` starts one that does nothing else
            supervisors.note_standstill = self._note_their_standstill
        await supervisors.start()
        return supervisors

    def _open_run_directory(self) -> Roots:
        is_new = self._run_directory.path is None
        roots = self._run_directory.open()
        if is_new:
            logger.info("backend %r runs its jobs in %s", self.control.name, roots.run_dir)
        return roots

    def _make_context(self, roots: Roots) -> LaunchContext:
        self._warn_of_shortages()
        self._oom_kills = OomKills()
        processes, files = ProcessTable(trio.CapacityLimiter(1)), trio.CapacityLimiter(_STOP_FILE_THREADS)
        options = self._options
        return LaunchContext(
            roots,
            options.terminal[0],
            processes,
            files,
            options.timeouts.kill,
            options.max_output_dirs,
            options.soft,
            options.leftovers,
        )

    def _warn_of_shortages(self) -> None:
        """Log a warning of the resources that are too few for `max_parallelism` jobs at once."""
        contained = self._options.containment == "tree"
        if self._max_parallelism is not None:
            short = shortages(
                Resources.here(),
                self._max_parallelism,
                processes=2 if contained else 1,
                memory=_SHIM_MEMORY if contained else 0,
            )
            if short:
                logger.warning(
                    "backend %r: %d jobs at once need about %s; otherwise expect jobs to be refused as busy",
                    self.control.name,
                    self._max_parallelism,
                    "; ".join(short),
                )

    async def serve(self) -> None:
        """Run what watches the jobs."""
        if self._supervisors is not None:
            self.control.start_task(self._supervisors.run)
            self.control.start_task(self._take_ends)
        else:
            self.control.start_task(self._run_witness)
        self.control.deadlines.catch_up = self._catch_up
        self.control.start_task(self._watch_standstill)
        await self._finisher.verdicts.run()

    async def teardown(self) -> None:
        """End the supervisors, and close the run directory."""
        self._context.starts.unpause()
        if self._witness is not None and self._witness is not self._supervisors:
            await self._witness.aclose()
        if self._supervisors is not None:
            await self._supervisors.aclose()
        self._run_directory.close(self._context.roots)

    # ------------------------------------------------------------------ launching

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Launch `jobs` in slices."""
        if self._paused_at is not None:  # a job started now would run while the runtime is stopped
            await self._unpaused.wait()
        hooked = [job for job in jobs if job.spec.pre_launch is not None]
        others = [job for job in jobs if job.spec.pre_launch is None] if hooked else jobs
        async with trio.open_nursery() as nursery:
            for job in hooked:  # a hook may take long, so each job with one has a call of its own
                nursery.start_soon(self._launch_slice, [job], self._hooking, nursery)
            count = _SLICES_AT_ONCE[self._options.containment]
            size = max(1, min(_SLICE, math.ceil(len(others) / count)))
            slices = [others[start : start + size] for start in range(0, len(others), size)]
            queue = iter(slices)
            for _ in slices[1:count]:
                nursery.start_soon(self._launch_slices, queue, nursery)
            await self._launch_slices(queue, nursery)

    @trio.lowlevel.enable_ki_protection
    async def _launch_slices(self, slices: Iterator[Sequence[LiveJob]], nursery: trio.Nursery) -> None:
        """Launch slices until there are none left. Several tasks may take from `slices`."""
        for jobs in slices:
            await self._launch_slice(jobs, self._launching, nursery)

    @trio.lowlevel.enable_ki_protection
    async def _launch_slice(
        self, jobs: Sequence[LiveJob], limiter: trio.CapacityLimiter, nursery: trio.Nursery
    ) -> None:
        """Prepare jobs and begin to start them; tasks in `nursery` wait for the results."""
        shims = await self._take_shims(jobs)
        begun: list[_Begun] = []
        started: list[_Started] = []
        for job, shim in shims:
            if not self.control.begin(job):
                if shim is not None:
                    shim.give_back()
                continue
            progress = self._progress_for(job)
            try:
                job.paths = job_paths(job.spec, self._context.roots.run_dir)
            except Exception as exc:  # noqa: BLE001 - it fails its own job, and no other
                if shim is not None:
                    shim.give_back()
                self._not_started(job, progress, explain(exc, job.spec))
                continue
            # The system reaps our own children while SIGCHLD is ignored, and their exit codes are lost.
            if shim is None and self._options.containment == "tree" and ignores_sigchld():
                self._not_started(
                    job, progress, NotLaunched(f"has containment 'group', which cannot be: {SIGCHLD_IGNORED}")
                )
                continue
            run = None if shim is None else launch_unprepared(self._context, job.spec, job.paths, shim)
            if run is None:
                begun.append((job, progress, shim))
            elif isinstance(run, LocalRun):
                started.append((job, progress, shim, run))
            else:
                assert shim is not None
                shim.give_back()
                self._not_started(job, progress, run)
        if started:
            nursery.start_soon(self._confirm, started, nursery)
        if begun:
            await self._launch_in_thread(begun, limiter, nursery)
        else:
            await trio.lowlevel.checkpoint()  # launching many slices without one would block the loop for long

    async def _launch_in_thread(
        self, begun: Sequence[_Begun], limiter: trio.CapacityLimiter, nursery: trio.Nursery
    ) -> None:
        """Prepare jobs and begin to start them in a thread."""

        def start(one: _Begun) -> Launched:
            job, progress, shim = one
            return launch(self._context, job.spec, _paths(job), progress, partial(_is_not_stopped, job), shim)

        def done(results: Sequence[tuple[_Begun, Launched]]) -> None:
            started: list[_Started] = []
            for (job, progress, shim), result in results:
                if isinstance(result, LocalRun):
                    started.append((job, progress, shim, result))
                    continue
                if shim is not None:
                    shim.give_back()
                self._not_started(job, progress, result)
            if started:
                nursery.start_soon(self._confirm, started, nursery)

        work = Work(start, begun, discard, lambda one: needed_paths(self._context, _paths(one[0]), one[1]))
        try:
            await each_in_thread(work, limiter=limiter, nursery=nursery, done=done, wait_for_thread=False)
        except OSError as exc:  # no thread could be started
            for job, progress, shim in work.left():
                if shim is not None:
                    shim.close()  # else it keeps the process slot that the next thread needs
                self._not_started(job, progress, explain(exc, job.spec))

    async def _take_shims(self, jobs: Sequence[LiveJob]) -> Sequence[tuple[LiveJob, Shim | None]]:
        """Return jobs with the shim that starts each, `None` for this process. Jobs that get no shim are left out."""
        contained = [job for job in jobs if (job.spec.containment or self._options.containment) == "tree"]
        pairs: list[tuple[LiveJob, Shim | None]] = [(job, None) for job in jobs if job not in contained]
        if contained:
            shims, error = await self._take_from_supervisors(len(contained))
            if error is not None:
                self.control.busy_because = explain(error).why
                logger.info("backend %r is busy: %s", self.control.name, self.control.busy_because)
            pairs += zip(contained, shims, strict=False)  # without a shim, it is not begun, and so refused
        return pairs

    async def _take_from_supervisors(self, count: int) -> tuple[list[Shim], OSError | None]:
        if self._supervisors is None:  # the first job with containment "tree" of a backend with "group"
            async with self._supervisors_lock:
                if self._supervisors is None:  # another launch may have started them while this one waited for the lock
                    try:
                        self._supervisors = await self._start_supervisors()
                    except OSError as exc:
                        return [], exc
                    self.control.start_task(self._supervisors.run)
                    self.control.start_task(self._take_ends)
        return await self._supervisors.take(count)

    @trio.lowlevel.enable_ki_protection
    async def _confirm(self, started: Sequence[_Started], nursery: trio.Nursery) -> None:
        """Wait until each run has started or has failed to start."""
        left = deque(started)
        unprepared: list[_Begun] = []
        with trio.move_on_after(STALLED if len(started) > 1 else math.inf):
            while left:
                await self._confirm_one(left[0], unprepared)
                left.popleft()
        # The file system of the first one does not answer. From now on each waits in a task of its own, because the
        # file systems of the others may answer.
        for one in left:
            nursery.start_soon(self._confirm, [one], nursery)
        if unprepared:
            await self._launch_in_thread(unprepared, self._launching, nursery)

    async def _confirm_one(self, one: _Started, unprepared: list[_Begun]) -> None:
        job, progress, shim, run = one
        try:
            await run.tree.wait_started()  # the only await here, so that a cancel cannot leave a job half recorded
        except NotMadeError:
            unprepared.append((job, progress, shim))
        except (OSError, ValueError) as exc:
            run.close()
            self._not_started(job, progress, explain(exc, job.spec))
        else:
            job.data = run
            if isinstance(run.tree, GroupTree):
                run.tree.limit = partial(self._limit_scope, job)
            if run.soft is not None:  # `kill_deadline` is one for all jobs
                self.kill_deadline = later(self.kill_deadline, self._options.timeouts.total(run.soft.seconds))
            if not self.control.started(job):  # the job was abandoned as lost during its launch
                self._stop_run(job, run)
            ordinary = run.pty is None and not self._is_watched(job.spec)
            if not (ordinary and run.tree.announce_end(self._ended, (job, run))):
                self.control.start_task(self._watch, job, run)

    def _not_started(
        self, job: LiveJob, progress: LaunchProgress, result: NotLaunched | Busy | CalledOff | Prepared
    ) -> None:
        if isinstance(result, Busy):
            logger.info("backend %r is busy: job %r %s", self.control.name, job.id, result.why)
            self._progress_of[job.spec] = progress
            self.control.refuse(job, result.why)
        elif isinstance(result, NotLaunched):
            self.control.fail(job, FailureKind.LAUNCH_ERROR, result.why)
        elif isinstance(result, CalledOff):
            self.control.finish_stopped(job)
        else:
            self.control.started(job)
            self.control.finish(job, JobStatus.PASSED)

    def _progress_for(self, job: LiveJob) -> LaunchProgress:
        progress = self._progress_of.pop(job.spec, None)
        return progress if progress is not None and progress.attempt == job.attempt else LaunchProgress(job.attempt)

    # ------------------------------------------------------------------ killing

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Begin the stop sequences of `jobs`."""
        for job in jobs:
            if job.data is not None:  # a dry run has no processes
                self._stop_run(job, job.data)

    def force(self, jobs: Sequence[LiveJob]) -> None:
        """Send SIGKILL to `jobs` now."""
        for job in jobs:
            if job.data is not None:
                job.data.tree.kill()

    def has_ended(self, job: LiveJob) -> bool:
        """Return whether its processes have ended: a time limit does not limit judging the log."""
        return job.data is not None and job.data.tree.has_ended()

    def _limit_scope(self, job: LiveJob, scope: trio.CancelScope, seconds: float) -> None:
        """Cancel `scope`, which encloses a step of the job's end, after `seconds`; a standstill does not count."""
        if seconds < math.inf:
            self.control.deadlines.add(trio.current_time() + seconds, job, lambda _: scope.cancel())

    def _limit_concluding(self, job: LiveJob, run: LocalRun) -> None:
        run.is_concluding_limited = True
        self._limit_scope(job, run.concluding, self._options.timeouts.kill or math.inf)

    def _stop_run(self, job: LiveJob, run: LocalRun) -> None:
        """Begin the stop sequence; if the job has already ended, limit the time until its completion instead."""
        if run.tree.has_ended():
            self._limit_concluding(job, run)
        else:
            run.tree.stop(self._options.timeouts.steps(run.soft))

    # ------------------------------------------------------------------ pausing

    def pause(self) -> None:
        """See `LocalBackend.pause`."""
        if self._paused_at is None:
            self._paused_at = trio.current_time()
            self._unpaused = trio.Event()
            self.control.deadlines.hold()
            for tree in [*self._context.starts.pause(), *self._contained_trees()]:
                tree.pause()

    def unpause(self) -> None:
        """See `LocalBackend.unpause`."""
        if self._paused_at is None:
            return
        seconds, self._paused_at = trio.current_time() - self._paused_at, None
        self.control.deadlines.release(seconds)
        for tree in [*self._context.starts.unpause(), *self._contained_trees()]:
            tree.unpause(seconds)
        self._unpaused.set()

    def _contained_trees(self) -> Iterable[ProcessTree]:
        return () if self._supervisors is None else self._supervisors.trees()

    # ------------------------------------------------------------------ standstill

    async def _run_witness(self) -> None:
        """Run a supervisor without jobs, which notices when no process of ours runs."""
        await trio.sleep(_TICK)  # a run that ends before needs no witness
        try:
            from runtime.process.supervisor import (
                Supervisors,  # not available on every system; an import needs a descriptor, too
            )

            witness = Supervisors({}, self._options.timeouts.kill, self._launching)
            witness.note_standstill = self._note_their_standstill
            await witness.start()
        except OSError as exc:
            logger.info(
                "backend %r: time in which all stand still will count as time of its jobs: %s", self.control.name, exc
            )
            return
        self._witness = witness
        await witness.run()

    async def _watch_standstill(self) -> None:
        """Notice when our loop stands still. Returns only if cancelled."""
        while True:
            begun = time.monotonic()
            await trio.sleep(_TICK)
            self._note_our_standstill(begun + _TICK)

    def _note_our_standstill(self, due: float) -> None:
        now = time.monotonic()
        if now - due > _STANDSTILL:
            self._have_stood_still = True
            self._postpone(self._standstill.add_ours(due, now))

    def _note_their_standstill(self, begin: float, end: float) -> None:
        self._postpone(self._standstill.add_theirs(begin, end))

    def _postpone(self, seconds: float) -> None:
        """Move all deadlines of all jobs by `seconds`, in which neither our loop nor the jobs ran."""
        if seconds > 0:
            logger.info(
                "backend %r and its jobs stood still for %.1f s; no limit counts it", self.control.name, seconds
            )
            self.control.deadlines.postpone(seconds)
            for job in self.control.live_jobs():
                if isinstance(job.data, LocalRun):
                    job.data.tree.postpone(seconds)

    async def _catch_up(self) -> None:
        """Before deadlines that are late: process events, and ask the witness whether the jobs stood still, too."""
        await trio.sleep(_CATCH_UP_TIME)
        # Its report may arrive after the sleep. Without it, jobs that stood still as well would exceed their limits.
        if self._have_stood_still and self._witness is not None:
            self._have_stood_still = False
            await self._witness.flush()

    # ------------------------------------------------------------------ watching

    async def _take_ends(self) -> None:
        """Complete the jobs whose trees announce their end on the channel."""
        async for first in self._ends:
            ends: list[End] = []  # completed together, so that the receiver gets few and large batches
            for (job, run), tree_end in [first, *self._further_ends()]:
                end = self._end_at_once(job, tree_end)
                if end is None:
                    self.control.start_task(self._watch, job, run)
                else:
                    ends.append(end)
            self.control.finish_all(ends)

    def _further_ends(self) -> Iterator[_Announced]:
        with suppress(trio.WouldBlock):
            while True:
                yield self._ends.receive_nowait()

    def _end_at_once(self, job: LiveJob, end: TreeEnd) -> End | None:
        """Return the end of a job whose tree has ended; `None` if finding it may block or take long."""
        if end.stopped or end.left is not None or end.broken is not None:
            return None
        if end.exit is UNKNOWN or _may_be_oom(end.exit) or job.spec.post_finish is not None:
            return None
        verdict = self._finisher.verdicts.at_once(job.spec, end.exit, end.log)
        if verdict is None:
            return None
        usage = usage_of(end.exit, verdict.log, end.left_behind)
        if end.left_behind and verdict.passed:
            verdict = self._with_leftovers(job.spec, end)
        return job, verdict.status, verdict.reason, usage

    def _stops_early(self, spec: JobSpec) -> bool:
        return self._options.stop_on_fail_pattern and bool(spec.fail_patterns)

    def _is_watched(self, spec: JobSpec) -> bool:
        """Whether its log is read while it runs."""
        return spec.max_log is not None or self._stops_early(spec)

    async def _watch(self, job: LiveJob, run: LocalRun) -> None:
        try:
            if run.pty is None and self._is_watched(job.spec):
                end = await self._wait_ended_watched(job, run)
            elif run.pty is None:
                end = await run.tree.wait_ended()
            else:
                end = await self._wait_ended_interactive(run)
            if end.left is not None:
                pids = ", ".join(map(str, end.left)) or "of unknown ids"
                message = (
                    f"processes {pids} (unreaped) did not end within {self._options.timeouts.kill or 0:g} s of SIGKILL"
                )
                if end.broken is not None:
                    message = f"{end.broken}; {message}"
                self.control.fail(job, FailureKind.LOST, message, usage=usage_of(end.exit))
            else:
                await self._conclude(job, run, end)
            await run.tree.wait_gone()
        finally:
            run.close()  # an error here must not leave the processes running

    async def _wait_ended_watched(self, job: LiveJob, run: LocalRun) -> TreeEnd:
        async with trio.open_nursery() as nursery:
            if self._stops_early(job.spec):
                nursery.start_soon(self._stop_when_failed, job, run)
            if job.spec.max_log is not None:
                nursery.start_soon(self._stop_when_too_large, job, run)
            end = await run.tree.wait_ended()
            nursery.cancel_scope.cancel()
        return end

    @trio.lowlevel.enable_ki_protection
    async def _stop_when_failed(self, job: LiveJob, run: LocalRun) -> None:
        await self._finisher.verdicts.wait_failed(job.spec, run.log, _WATCH_INTERVAL)
        if not run.tree.has_ended():
            self._stop_run(job, run)

    @trio.lowlevel.enable_ki_protection
    async def _stop_when_too_large(self, job: LiveJob, run: LocalRun) -> None:
        message = await self._finisher.verdicts.wait_too_large(job.spec, run.log, _WATCH_INTERVAL)
        if not run.tree.has_ended():  # judging the log of a job that has ended checks its size, too
            self.control.stop([job], FailureKind.LOG_LIMIT, message)

    async def _wait_ended_interactive(self, run: LocalRun) -> TreeEnd:
        from runtime.process.terminal import Pty, attached  # not available on every system

        assert run.pty is not None
        assert run.log_fd is not None
        # Output that the job writes before the terminal is free stays in the pty, so that nothing overwrites it.
        async with self._lend_terminal():
            async with attached(Pty(run.pty, run.pty_slave), run.log_fd, *self._options.terminal, self._judging):
                return await run.tree.wait_ended()
        raise AssertionError

    async def _conclude(self, job: LiveJob, run: LocalRun, end: TreeEnd) -> None:
        """Judge the log, call `post_finish`, complete the job."""
        spec: JobSpec = job.spec
        if end.stopped and job.stop is not None:
            kind = job.stop.reason.kind
            status = JobStatus.KILLED if kind is None else kind.status
            timeout = self._options.timeouts.kill or _STOPPED_VERDICT_TIMEOUT
            judgement = await self._finisher.conclude_stopped(spec, run.log, status, timeout, end.log)
            self.control.finish_stopped(job, usage_of(end.exit, judgement), explain_stop(job.stop.reason, judgement))
            return
        if end.broken is not None:
            self.control.fail(job, FailureKind.BACKEND_ERROR, f"it was killed: {end.broken}", usage=usage_of(end.exit))
            return
        if end.exit is UNKNOWN:
            self.control.fail(job, FailureKind.LOST, "other code has reaped its process, so its exit code is not known")
            return
        if job.stop is not None and not run.is_concluding_limited:  # the kill came after its end
            self._limit_concluding(job, run)
        # Stopped without a request: a fail pattern had matched. We caused this exit, so it is not held against the job.
        how = attrs.evolve(end.exit, code=0, signal=None, core_dumped=False) if end.stopped else end.exit
        verdict = await self._finisher.conclude(
            spec, run.log, how, run.concluding, self._options.timeouts.kill, end.log, self._with_leftovers(spec, end)
        )
        usage = usage_of(end.exit, verdict.log, end.left_behind)
        if end.stopped and verdict.passed:
            verdict = failed(FailureKind.FAIL_PATTERN, "a fail pattern had matched; the line is no longer in its log")
        if _may_be_oom(how) and await in_thread(self._oom_kills.explain_one, limiter=self._judging):
            verdict = _out_of_memory(verdict)
        self.control.finish(job, verdict.status, verdict.reason, usage)

    def _with_leftovers(self, spec: JobSpec, end: TreeEnd) -> Verdict:
        """Return the verdict on a job that passes apart from the processes that it left running."""
        if not end.left_behind or (spec.leftovers or self._options.leftovers) != "fail":
            return PASSED
        what = ", ".join(end.left_behind)
        return failed(FailureKind.LEFTOVERS, f"it ended and left processes running, which were killed: {what}")


def _may_be_oom(how: Exit) -> bool:
    """Whether the process, or the last program of a shell, was ended by SIGKILL."""
    return how.signal == signal.SIGKILL or how.code == _SHELLS_SIGNAL + signal.SIGKILL


def _out_of_memory(verdict: Verdict) -> Verdict:
    assert verdict.reason is not None
    message = f"{verdict.reason.message}; the kernel has killed a process here because it was out of memory"
    kind = FailureKind.OUT_OF_MEMORY
    return Verdict(kind.status, attrs.evolve(verdict.reason, message=message, kind=kind))


def _paths(job: LiveJob) -> JobPaths:
    assert job.paths is not None  # set before its launch begins
    return job.paths


def _is_not_stopped(job: LiveJob) -> bool:
    return job.stop is None
