"""`LocalBackend`: runs jobs as processes of this machine.

The path of a job: jobs are launched in slices, by a shim or in a thread. When the process tree of a job has ended, its
log is judged if there is something to judge, and the job completes. One task (`_take_ends`) completes all jobs that are
contained, have a short log and need nothing special, many at a time. Each other job has a task of its own (`_watch`),
and its log is judged in a thread.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import trio

from runtime.backend.backend import RuntimeBackend, check_limit, later
from runtime.backend.base import BackendState, End
from runtime.backend.finishing import Finisher, usage_of
from runtime.backend.job_paths import job_paths
from runtime.backend.live import LiveJob
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
from runtime.errors import BackendBrokenError
from runtime.job import CONTAINMENTS, LEFTOVERS, FailureKind, JobPaths, JobSpec, JobStatus, SoftStop
from runtime.process import (
    SIGCHLD_IGNORED,
    UNKNOWN,
    Exit,
    GroupTree,
    NotMadeError,
    ProcessTable,
    ProcessTree,
    SoftSteps,
    StopSteps,
    TreeEnd,
    Work,
    each_in_thread,
    ignores_sigchld,
    in_thread,
)
from runtime.process.filesystems import STALLED
from runtime.process.limits import Resources, shortages, usable_cpus
from runtime.process.memory import OomKills
from runtime.process.platform import missing
from runtime.process.standstill import Standstill
from runtime.roots import Roots
from runtime.verdict import PASSED, Verdict, explain_stop, failed

if TYPE_CHECKING:  # not available on every system
    from runtime.process.shim import Shim
    from runtime.process.supervisor import Supervisors

logger: Final = logging.getLogger("runtime.backend.local")

T = TypeVar("T")

TERM_TIMEOUT: Final = 2.0
"""Seconds from SIGTERM to SIGKILL. DVSim's."""

KILL_TIMEOUT: Final = 2.0
"""Seconds from SIGKILL until a job that is still there counts as lost. DVSim's."""

MAX_OUTPUT_DIRS: Final = 5
"""Old output directories of a job that are kept. DVSim's."""

SOFT_TIMEOUT: Final = 10.0
"""Seconds from the soft step of a stop, if there is one, to SIGTERM. Arbitrary: ten times longer makes a person who
pressed Ctrl-C wait, ten times shorter cuts off a simulator that saves its coverage."""

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

_KILL_MARGIN: Final = 5.0
"""Seconds after the last step of a kill until the contract abandons the job. Arbitrary: ten times longer delays the end
of a run with a lost job, ten times shorter reports as lost a job whose end was about to be reported."""

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


class LocalBackend(RuntimeBackend):
    """Runs jobs as processes of this machine.

    Args:
        max_parallelism: how many jobs run at once; `None` for the number of CPUs that this process may use by its
            affinity, and by the quotas of its cgroup and of the parents of that; a part of a CPU counts as one.
        run_dir: the parent of the directories of jobs that name none; `None` for a private temporary directory, which
            is not deleted. Open `Roots` are shared, so that no job can replace any of their directories.
        term_timeout: seconds from SIGTERM to SIGKILL; `None` for 2.
        kill_timeout: seconds from SIGKILL until a job that is still there is abandoned as lost; `None` for 2.
        max_output_dirs: how many old output directories of a job with `renew_odir` are kept; `None` for 5.
        containment: which processes of a job end with it. ``"tree"``: all of them, whatever sessions they open, also if
            this process is killed. ``"group"``: those in its process group; a process that has left the group lives on
            when the job has ended, and gets the signals of a stop if it can be found. A job may override this.
        leftovers: what happens if a job ends by itself and leaves processes running, which are killed after 0.3 s.
            ``"warn"``: `JobUsage.left_behind` names them; ``"fail"``: a job that would pass fails; ``"ignore"``: they
            are killed at once, and not named. A job may override this.
        soft_stop: the step before SIGTERM when a job is stopped: ``None`` for none; a signal (``"SIGINT"``) to all its
            processes; or the name of a file to make, in its output directory unless absolute. A job may override this.
        soft_timeout: seconds from the soft step to SIGTERM, unless the job ends sooner; `None` for 10. A job may
            override this.
        stop_on_fail_pattern: whether a job is stopped when a fail pattern matches a line of its log, which is read
            every second. The job then fails by that pattern, whatever its exit code.
        terminal: descriptors of the user's input and output, for interactive jobs.
        options: as for `RuntimeBackend`.

    A limit of 0 means no limit. Jobs inherit the environment that this process has when the backend is opened.

    Raises:
        ValueError: for an argument that is not valid.
    """

    name = "local"
    supports_interactive = True
    _paused_at: float | None = None
    """Since when its jobs are paused, in seconds of the event loop's clock; `None` if they are not."""
    _have_stood_still = False
    """Whether our loop has stood still since the witness was last asked whether the jobs had, too."""
    shares_roots = True
    """Whether `run_dir` may be open `Roots`, so that the directory is not opened again by its path."""

    def __init__(
        self,
        max_parallelism: int | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        term_timeout: float | None = None,
        kill_timeout: float | None = None,
        max_output_dirs: int | None = None,
        containment: str = "tree",
        leftovers: str = "warn",
        soft_stop: SoftStop | None = None,
        soft_timeout: float | None = None,
        stop_on_fail_pattern: bool = False,
        terminal: tuple[int, int] = (0, 1),
        **options: Any,
    ) -> None:
        super().__init__(max_parallelism=usable_cpus() if max_parallelism is None else max_parallelism, **options)
        if containment not in CONTAINMENTS:
            msg = f"LocalBackend: containment is {containment!r}; expected 'tree' or 'group'"
            raise ValueError(msg)
        if leftovers not in LEFTOVERS:
            msg = f"LocalBackend: leftovers is {leftovers!r}; expected 'ignore', 'warn' or 'fail'"
            raise ValueError(msg)
        self._leftovers = leftovers
        if not isinstance(stop_on_fail_pattern, bool):
            msg = f"LocalBackend: stop_on_fail_pattern is {stop_on_fail_pattern!r}; expected True or False"
            raise ValueError(msg)
        self._containment = containment
        self._slices_at_once = _SLICES_AT_ONCE[containment]
        # Launches in threads gather into few calls if submissions come one at a time; launches by shims need no thread.
        self.max_submissions = None if containment == "tree" else 1
        self._stop_on_fail_pattern = stop_on_fail_pattern
        self._term_timeout = check_limit("LocalBackend: term_timeout", term_timeout, TERM_TIMEOUT, whole=False)
        self._kill_timeout = check_limit("LocalBackend: kill_timeout", kill_timeout, KILL_TIMEOUT, whole=False)
        keep = check_limit("LocalBackend: max_output_dirs", max_output_dirs, MAX_OUTPUT_DIRS)
        self.max_output_dirs = None if keep is None else int(keep)
        soft_seconds = check_limit("LocalBackend: soft_timeout", soft_timeout, SOFT_TIMEOUT, whole=False)
        try:
            self._soft_steps = SoftSteps.checked(soft_stop, soft_seconds)
        except ValueError as exc:
            msg = f"LocalBackend: {exc}"
            raise ValueError(msg) from None
        self.kill_deadline = self._time_to_end(0 if soft_stop is None else soft_seconds)
        self.run_dir: str | None = None if run_dir is None else os.fspath(run_dir)
        """The path of the run directory; for a temporary one, `None` until the backend is open."""
        self._roots = run_dir if isinstance(run_dir, Roots) else None
        self._own_roots: Roots | None = None
        self._terminal = terminal
        self.lend_terminal: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
        """Returns a context manager that keeps others from the terminal while an interactive job uses it."""
        self._unpaused = trio.Event()
        self._standstill = Standstill()
        self._progress_of: weakref.WeakKeyDictionary[JobSpec, LaunchProgress] = weakref.WeakKeyDictionary()
        """The progress of refused launches, so that another submission of the job does not repeat what was done."""
        self._context: LaunchContext
        self._oom_kills: OomKills
        self._supervisors: Supervisors | None = None
        self._supervisors_lock = trio.Lock()
        self._witness: Supervisors | None = None
        """The supervisors that report when no process of ours ran. With containment "tree", those of the jobs."""
        self._ended: trio.MemorySendChannel[_Announced]
        self._ends: trio.MemoryReceiveChannel[_Announced]
        self._finisher: Finisher
        self._launching: trio.CapacityLimiter
        self._judging: trio.CapacityLimiter
        self._hooking: trio.CapacityLimiter

    async def _setup(self) -> None:
        if (why := missing()) is not None:
            msg = f"backend {self.name!r} cannot be opened: {why}"
            raise BackendBrokenError(msg)
        if self._containment == "group" and ignores_sigchld():  # with "tree", the jobs are not our children
            msg = f"backend {self.name!r} cannot be opened with containment 'group': {SIGCHLD_IGNORED}"
            raise BackendBrokenError(msg)
        self._launching = trio.CapacityLimiter(_LAUNCH_THREADS)
        self._judging = trio.CapacityLimiter(_JUDGE_THREADS)
        self._hooking = trio.CapacityLimiter(_HOOK_THREADS)
        self._ended, self._ends = trio.open_memory_channel[_Announced](math.inf)
        self._finisher = Finisher(self._judging, self._hooking)
        try:
            self._context = await in_thread(self._make_context, limiter=self._launching, wait_for_thread=False)
            self.run_dir = self._context.roots.run_dir
            if self._containment == "tree":
                self._supervisors = self._witness = await self._start_supervisors()
        except BaseException as exc:
            if self._own_roots is not None:  # `_teardown` is not called for a backend that was not opened
                self._own_roots.close()
            if not isinstance(exc, OSError):
                raise
            msg = f"backend {self.name!r} cannot be opened: {exc}"
            raise BackendBrokenError(msg) from exc

    async def _start_supervisors(self) -> Supervisors:
        from runtime.process.supervisor import Supervisors  # not available on every system

        context = self._context
        roots = context.roots.descriptors
        supervisors = Supervisors(context.environment, self._kill_timeout, self._launching, context.dump, roots)
        if self._containment == "tree":  # else `_run_witness` starts one that does nothing else
            supervisors.note_standstill = self._note_their_standstill
        await supervisors.start()
        return supervisors

    def _make_context(self) -> LaunchContext:
        roots = self._roots or Roots(os.path.abspath(self.run_dir or tempfile.mkdtemp(prefix="job-runtime-")))
        if self.run_dir is None:
            logger.info("backend %r runs its jobs in %s", self.name, roots.run_dir)
        if not roots.is_open:
            roots.open()
            self._own_roots = roots
        self._warn_of_shortages()
        self._oom_kills = OomKills()
        processes, files = ProcessTable(trio.CapacityLimiter(1)), trio.CapacityLimiter(_STOP_FILE_THREADS)
        timeout, keep = self._kill_timeout, self.max_output_dirs
        return LaunchContext(
            roots, self._terminal[0], processes, files, timeout, keep, self._soft_steps, self._leftovers
        )

    def _time_to_end(self, soft: float | None) -> float | None:
        """Return the most seconds that a stop with a soft step of `soft` seconds takes; `None` for no limit."""
        # The kill timeout counts twice: for the end after SIGKILL, and for the verdict and the hook after the end.
        steps = (soft, self._term_timeout, self._kill_timeout, self._kill_timeout, _KILL_MARGIN)
        return None if None in steps else sum(step or 0 for step in steps)

    def _warn_of_shortages(self) -> None:
        """Log a warning of the resources that are too few for `max_parallelism` jobs at once."""
        contained = self._containment == "tree"
        if self.max_parallelism is not None:
            short = shortages(
                Resources.here(),
                self.max_parallelism,
                processes=2 if contained else 1,
                memory=_SHIM_MEMORY if contained else 0,
            )
            if short:
                logger.warning(
                    "backend %r: %d jobs at once need about %s; otherwise expect jobs to be refused as busy",
                    self.name,
                    self.max_parallelism,
                    "; ".join(short),
                )

    async def _serve(self) -> None:
        if self._supervisors is not None:
            self._start_task(self._supervisors.run)
            self._start_task(self._take_ends)
        else:
            self._start_task(self._run_witness)
        self._deadlines.catch_up = self._catch_up
        self._start_task(self._watch_standstill)
        await self._finisher.verdicts.run()

    async def _teardown(self) -> None:
        self._context.starts.unpause()
        if self._witness is not None and self._witness is not self._supervisors:
            await self._witness.aclose()
        if self._supervisors is not None:
            await self._supervisors.aclose()
        if self._own_roots is not None:
            self._own_roots.close()

    def paths_of(self, job: JobSpec) -> JobPaths | None:
        """See `RuntimeBackend`. `None` before a temporary run directory is made."""
        return None if self.run_dir is None else job_paths(job, os.path.abspath(self.run_dir))

    # ------------------------------------------------------------------ launching

    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        if self._paused_at is not None:  # a job started now would run while the runtime is stopped
            await self._unpaused.wait()
        hooked = [job for job in jobs if job.spec.pre_launch is not None]
        others = [job for job in jobs if job.spec.pre_launch is None] if hooked else jobs
        async with trio.open_nursery() as nursery:
            for job in hooked:  # a hook may take long, so each job with one has a call of its own
                nursery.start_soon(self._launch_slice, [job], self._hooking, nursery)
            count = self._slices_at_once
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
            if not self._begin(job):
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
            if shim is None and self._containment == "tree" and ignores_sigchld():
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
        contained = [job for job in jobs if (job.spec.containment or self._containment) == "tree"]
        pairs: list[tuple[LiveJob, Shim | None]] = [(job, None) for job in jobs if job not in contained]
        if contained:
            shims, error = await self._take_from_supervisors(len(contained))
            if error is not None:
                self.busy_because = explain(error).why
                logger.info("backend %r is busy: %s", self.name, self.busy_because)
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
                    self._start_task(self._supervisors.run)
                    self._start_task(self._take_ends)
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
                self.kill_deadline = later(self.kill_deadline, self._time_to_end(run.soft.seconds))
            if not self._launched(job):  # the job was abandoned as lost during its launch
                self._stop_run(job, run)
            ordinary = run.pty is None and not self._is_watched(job.spec)
            if not (ordinary and run.tree.announce_end(self._ended, (job, run))):
                self._start_task(self._watch, job, run)

    def _not_started(
        self, job: LiveJob, progress: LaunchProgress, result: NotLaunched | Busy | CalledOff | Prepared
    ) -> None:
        if isinstance(result, Busy):
            logger.info("backend %r is busy: job %r %s", self.name, job.id, result.why)
            self._progress_of[job.spec] = progress
            self._refuse(job, result.why)
        elif isinstance(result, NotLaunched):
            self._fail(job, FailureKind.LAUNCH_ERROR, result.why)
        elif isinstance(result, CalledOff):
            self._complete_stopped(job)
        else:
            self._launched(job)
            self._complete(job, JobStatus.PASSED)

    def _progress_for(self, job: LiveJob) -> LaunchProgress:
        progress = self._progress_of.pop(job.spec, None)
        return progress if progress is not None and progress.attempt == job.attempt else LaunchProgress(job.attempt)

    # ------------------------------------------------------------------ killing

    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if job.data is not None:  # a dry run has no processes
                self._stop_run(job, job.data)

    def _force(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if job.data is not None:
                job.data.tree.kill()

    def _timed_out(self, job: LiveJob) -> None:
        """Ignore the time limit of a job whose processes have ended: it does not limit judging the log."""
        if job.data is None or not job.data.tree.has_ended():
            super()._timed_out(job)

    def _limit_scope(self, job: LiveJob, scope: trio.CancelScope, seconds: float) -> None:
        """Cancel `scope`, which encloses a step of the job's end, after `seconds`; a standstill does not count."""
        if seconds < math.inf:
            self._deadlines.add(trio.current_time() + seconds, job, lambda _: scope.cancel())

    def _limit_concluding(self, job: LiveJob, run: LocalRun) -> None:
        run.is_concluding_limited = True
        self._limit_scope(job, run.concluding, self._kill_timeout or math.inf)

    def _stop_run(self, job: LiveJob, run: LocalRun) -> None:
        """Begin the stop sequence; if the job has already ended, limit the time until its completion instead."""
        if run.tree.has_ended():
            self._limit_concluding(job, run)
        else:
            run.tree.stop(StopSteps(self._term_timeout, self._kill_timeout, run.soft))

    # ------------------------------------------------------------------ pausing

    def pause(self) -> None:
        """Send SIGSTOP to all processes of all jobs. Nothing is launched until `unpause`.

        For a program that is about to stop itself, such as after Ctrl-Z. The time until `unpause` counts towards no
        limit of a job. A job that is killed meanwhile is continued, so that it can handle its signals; the timeouts of
        its stop count. Does not block. May be called in any task while the backend is open. Idempotent.
        """
        if self._paused_at is None and self._state in (BackendState.OPEN, BackendState.CLOSING):
            self._paused_at = trio.current_time()
            self._unpaused = trio.Event()
            self._deadlines.hold()
            for tree in [*self._context.starts.pause(), *self._contained_trees()]:
                tree.pause()

    def unpause(self) -> None:
        """Send SIGCONT to all processes that `pause` has stopped, and launch again. Does not block. Idempotent."""
        if self._paused_at is None:
            return
        seconds, self._paused_at = trio.current_time() - self._paused_at, None
        self._deadlines.release(seconds)
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

            witness = Supervisors({}, self._kill_timeout, self._launching)
            witness.note_standstill = self._note_their_standstill
            await witness.start()
        except OSError as exc:
            logger.info("backend %r: time in which all stand still will count as time of its jobs: %s", self.name, exc)
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
            logger.info("backend %r and its jobs stood still for %.1f s; no limit counts it", self.name, seconds)
            self._deadlines.postpone(seconds)
            for job in self._ledger:
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
                    self._start_task(self._watch, job, run)
                else:
                    ends.append(end)
            self._end_all(ends)

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
        return self._stop_on_fail_pattern and bool(spec.fail_patterns)

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
                message = f"processes {pids} (unreaped) did not end within {self._kill_timeout or 0:g} s of SIGKILL"
                if end.broken is not None:
                    message = f"{end.broken}; {message}"
                self._fail(job, FailureKind.LOST, message, usage=usage_of(end.exit))
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
            self._stop([job], FailureKind.LOG_LIMIT, message)

    async def _wait_ended_interactive(self, run: LocalRun) -> TreeEnd:
        from runtime.process.terminal import Pty, attached  # not available on every system

        assert run.pty is not None
        assert run.log_fd is not None
        # Output that the job writes before the terminal is free stays in the pty, so that nothing overwrites it.
        async with self.lend_terminal():
            async with attached(Pty(run.pty, run.pty_slave), run.log_fd, *self._terminal, self._judging):
                return await run.tree.wait_ended()
        raise AssertionError

    async def _conclude(self, job: LiveJob, run: LocalRun, end: TreeEnd) -> None:
        """Judge the log, call `post_finish`, complete the job."""
        spec: JobSpec = job.spec
        if end.stopped and job.stop is not None:
            kind = job.stop.reason.kind
            status = JobStatus.KILLED if kind is None else kind.status
            timeout = self._kill_timeout or KILL_TIMEOUT
            judgement = await self._finisher.conclude_stopped(spec, run.log, status, timeout, end.log)
            self._complete_stopped(job, usage_of(end.exit, judgement), explain_stop(job.stop.reason, judgement))
            return
        if end.broken is not None:
            self._fail(job, FailureKind.BACKEND_ERROR, f"it was killed: {end.broken}", usage=usage_of(end.exit))
            return
        if end.exit is UNKNOWN:
            self._fail(job, FailureKind.LOST, "other code has reaped its process, so its exit code is not known")
            return
        if job.stop is not None and not run.is_concluding_limited:  # the kill came after its end
            self._limit_concluding(job, run)
        # Stopped without a request: a fail pattern had matched. We caused this exit, so it is not held against the job.
        how = attrs.evolve(end.exit, code=0, signal=None, core_dumped=False) if end.stopped else end.exit
        verdict = await self._finisher.conclude(
            spec, run.log, how, run.concluding, self._kill_timeout, end.log, self._with_leftovers(spec, end)
        )
        usage = usage_of(end.exit, verdict.log, end.left_behind)
        if end.stopped and verdict.passed:
            verdict = failed(FailureKind.FAIL_PATTERN, "a fail pattern had matched; the line is no longer in its log")
        if _may_be_oom(how) and await in_thread(self._oom_kills.explain_one, limiter=self._judging):
            verdict = _out_of_memory(verdict)
        self._complete(job, verdict.status, verdict.reason, usage)

    def _with_leftovers(self, spec: JobSpec, end: TreeEnd) -> Verdict:
        """Return the verdict on a job that passes apart from the processes that it left running."""
        if not end.left_behind or (spec.leftovers or self._leftovers) != "fail":
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
