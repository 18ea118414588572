"""`LocalBackend`: jobs are processes of this machine.

A job's road: a slice of jobs is launched, in a thread if need be. When the process tree of one has ended, its log is
judged if there is anything to judge, and it is completed. What is contained, ordinary, and has a short log is seen to
its end by one task for all of them (`_take_ends`), as many as there are at a time; any other by a task of its own
(`_watch`), in which judging has a thread.
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

from runtime.backend.backend import RuntimeBackend, check_limit
from runtime.backend.base import BackendState, End
from runtime.backend.finishing import Finisher, failed, usage_of
from runtime.backend.live import LiveJob
from runtime.backend.local.launch import (
    Busy,
    CalledOff,
    Launched,
    LocalRun,
    NotLaunched,
    Prepared,
    Progress,
    Site,
    discard,
    explain,
    launch,
    launch_unprepared,
    needed_paths,
)
from runtime.backend.verdict_pool import VerdictPool
from runtime.errors import BackendBrokenError
from runtime.job import CONTAINMENTS, LEFTOVERS, FailureKind, JobSpec, JobStatus
from runtime.process import (
    SIGCHLD_IGNORED,
    UNKNOWN,
    Exit,
    GroupTree,
    NotMadeError,
    ProcessTable,
    ProcessTree,
    SoftStep,
    SoftSteps,
    SoftStop,
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
from runtime.verdict import PASSED, Verdict, explain_stop

if TYPE_CHECKING:  # not for every system
    from runtime.process.shim import Shim
    from runtime.process.supervisor import Supervisors

logger: Final = logging.getLogger("runtime.backend.local")

T = TypeVar("T")

TERM_TIMEOUT: Final = 2.0
"""Seconds between SIGTERM and SIGKILL. DVSim's."""

KILL_TIMEOUT: Final = 2.0
"""Seconds that a job may take to be gone after SIGKILL. DVSim's."""

MAX_OUTPUT_DIRS: Final = 5
"""Old output directories of a job. DVSim's."""

SOFT_TIMEOUT: Final = 10.0
"""Seconds between the soft step of a stop, if there is one, and SIGTERM. Arbitrary."""

_SLICE: Final = 8
"""Jobs that are launched in one go, in a thread if they need one: a hop costs a tenth of a process, and a job that is
to be killed waits for its slice."""


_SLICES_AT_ONCE: Final = {"tree": 1, "group": 6}
"""Slices of one submission that are launched side by side. A thread that starts a process of its own waits, without the
interpreter's lock, until the system has made that another program: the longer, the busier the processors are. What is
handed to a shim is not waited for. On two processors, 520 jobs/s with 1 and 1,390 with 6 beside other people's work,
where a bare `posix_spawn` reached 1,570; on idle ones 1,390 and 1,490."""

_LAUNCH_THREADS: Final = 8
_JUDGE_THREADS: Final = 6
_HOOK_THREADS: Final = 64
_STOP_FILE_THREADS: Final = 8
"""Threads for each class of work that blocks; hooks are other people's code, and may take long. Arbitrary."""

_KILL_MARGIN: Final = 5.0
"""Seconds beyond the steps of a kill after which the contract gives the job up. Arbitrary."""

_SHELLS_SIGNAL: Final = 128
"""What a shell adds to the number of a signal to make an exit code of it."""

_TICK: Final = 1.0
_STANDSTILL: Final = 1.0
"""Seconds that a task sleeps, and by which it must wake too late, for our loop to count as having stood still.
Arbitrary: a busy system makes a process wait for less, and a shorter standstill counts as time of a job."""

_MOMENT: Final = 0.1
"""Seconds in which news are taken that have come while the loop stood still. Arbitrary."""

_WATCH_INTERVAL: Final = 1.0
"""Seconds between looks at a log, for `stop_on_fail_pattern` and for `max_log`. Arbitrary."""

_SHIM_MEMORY: Final = 1_000_000
"""Bytes that a shim has for itself, and does not share with the others; measured with CPython 3.11."""


_Announced = tuple[tuple[LiveJob, LocalRun], TreeEnd]
"""A job, what was started, and how that ended."""
_Begun = tuple[LiveJob, Progress, "Shim | None"]
"""A job whose launch has begun, how far it has come, and what starts it."""
_Started = tuple[LiveJob, Progress, "Shim | None", LocalRun]
"""And what was started."""


class LocalBackend(RuntimeBackend):
    """Runs jobs as processes of this machine.

    Args:
        max_parallelism: how many jobs run at once; `None` for as many as there are CPUs that this process may use by
            its affinity, and by the quota of its cgroup and of the parents of that; a part of a CPU counts as one.
        run_dir: where jobs that name no directory get theirs; `None` for a private temporary one, which is not deleted.
            `Roots` that are open are shared: then no job can have replaced any of their directories.
        term_timeout: seconds between SIGTERM and SIGKILL; `None` for 2.
        kill_timeout: seconds that a job may take to be gone after SIGKILL, before it is given up as lost; `None` for 2.
        max_output_dirs: how many old output directories of a job with `renew_odir` are kept; `None` for 5.
        containment: what of a job is seen to end with it. ``"tree"``: all its processes, whatever sessions they open,
            also if we are killed. ``"group"``: those in its process group; what has left that lives on when the job
            has ended, and is only asked to end, if it can be found, when the job is stopped. A job may have its own.
        leftovers: what it means that a job ends by itself and leaves processes running, which are killed after some
            0.3 s. ``"warn"``: they are named in `JobUsage.left_behind`; ``"fail"``: a job that passed has then failed;
            ``"ignore"``: they are killed at once, and nobody asks. A job may have its own.
        soft_stop: what comes before SIGTERM when a job is stopped: ``None`` for nothing; a signal (``"SIGINT"``) to all
            its processes; or the name of a file that is made, in its output directory unless absolute. Or a function
            from a job's specification to one of these, or to a pair of one and its seconds; it is called in a thread,
            when the job is launched, and what is wrong with it costs that job.
        soft_timeout: seconds between that and SIGTERM, unless the job ends sooner; `None` for 10.
        stop_on_fail_pattern: whether a job is stopped as soon as a fail pattern matches a line of its log; that is
            looked for every second. It has then failed by that pattern, whatever its exit code.
        terminal: descriptors of the user's input and output, for interactive jobs.
        options: as for `RuntimeBackend`.

    A limit of 0 means no limit. The environment that jobs inherit is that of this process when the backend is opened.

    Raises:
        ValueError: for an argument that cannot be what it is.
    """

    name = "local"
    supports_interactive = True
    _paused_at: float | None = None
    """Since when its jobs are paused."""
    _have_stood_still = False
    """Since we last asked whether the jobs had, too."""
    shares_roots = True
    """Whether `run_dir` may be `Roots` that are open, so that it is never opened by its path again."""

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
        soft_stop: SoftStop | Callable[[JobSpec], SoftStop | tuple[SoftStop, float]] = None,
        soft_timeout: float | None = None,
        stop_on_fail_pattern: bool = False,
        terminal: tuple[int, int] = (0, 1),
        **options: Any,
    ) -> None:
        super().__init__(max_parallelism=usable_cpus() if max_parallelism is None else max_parallelism, **options)
        if containment not in CONTAINMENTS:
            msg = f"LocalBackend: containment is {containment!r}; wanted: 'tree' or 'group'"
            raise ValueError(msg)
        if leftovers not in LEFTOVERS:
            msg = f"LocalBackend: leftovers is {leftovers!r}; expected: 'ignore', 'warn' or 'fail'"
            raise ValueError(msg)
        self._leftovers = leftovers
        if not isinstance(stop_on_fail_pattern, bool):
            msg = f"LocalBackend: stop_on_fail_pattern is {stop_on_fail_pattern!r}; wanted: True or False"
            raise ValueError(msg)
        self._containment = containment
        self._slices_at_once = _SLICES_AT_ONCE[containment]
        # What needs threads had better share them; a shim needs none.
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
        """The run directory; of a temporary one the path is known once the backend is open."""
        self._roots = run_dir if isinstance(run_dir, Roots) else None
        self._own_roots: Roots | None = None
        self._terminal = terminal
        self.lend_terminal: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
        """What is entered while an interactive job has the terminal: whoever else writes there gives it up."""
        self._unpaused = trio.Event()
        self._standstill = Standstill()
        self._progress_of: weakref.WeakKeyDictionary[JobSpec, Progress] = weakref.WeakKeyDictionary()
        self._site: Site
        self._oom_kills: OomKills
        self._supervisors: Supervisors | None = None
        self._supervisors_lock = trio.Lock()
        self._witness: Supervisors | None = None
        """Whose current supervisor tells when it did not run; of contained jobs it is theirs."""
        self._ended: trio.MemorySendChannel[_Announced]
        self._ends: trio.MemoryReceiveChannel[_Announced]
        self._judges: VerdictPool
        self._concluder: Finisher
        self._launching: trio.CapacityLimiter
        self._judging: trio.CapacityLimiter
        self._hooking: trio.CapacityLimiter

    async def _setup(self) -> None:
        if (why := missing()) is not None:
            msg = f"backend {self.name!r} cannot be opened: {why}"
            raise BackendBrokenError(msg)
        if self._containment == "group" and ignores_sigchld():  # shims are children of their supervisor, who does not
            msg = f"backend {self.name!r} cannot be opened with containment 'group': {SIGCHLD_IGNORED}"
            raise BackendBrokenError(msg)
        self._launching = trio.CapacityLimiter(_LAUNCH_THREADS)
        self._judging = trio.CapacityLimiter(_JUDGE_THREADS)
        self._hooking = trio.CapacityLimiter(_HOOK_THREADS)
        self._ended, self._ends = trio.open_memory_channel[_Announced](math.inf)
        self._judges = VerdictPool(self._judging)
        self._concluder = Finisher(self._judges, self._hooking)
        try:
            self._site = await in_thread(self._make_site, limiter=self._launching, wait_for_thread=False)
            self.run_dir = self._site.roots.run_dir
            if self._containment == "tree":
                self._supervisors = self._witness = await self._start_supervisors()
        except BaseException as exc:
            if self._own_roots is not None:
                self._own_roots.close()
            if not isinstance(exc, OSError):
                raise
            msg = f"backend {self.name!r} cannot be opened: {exc}"
            raise BackendBrokenError(msg) from exc

    async def _start_supervisors(self) -> Supervisors:
        from runtime.process.supervisor import Supervisors  # not for every system

        site = self._site
        roots = site.roots.descriptors
        supervisors = Supervisors(site.environment, self._kill_timeout, self._launching, site.dump, roots)
        if self._containment == "tree":  # else there is a witness for that alone
            supervisors.note_standstill = self._note_their_standstill
        await supervisors.start()
        return supervisors

    def _make_site(self) -> Site:
        roots = self._roots or Roots(os.path.abspath(self.run_dir or tempfile.mkdtemp(prefix="job-runtime-")))
        if self.run_dir is None:
            logger.info("backend %r runs its jobs in %s", self.name, roots.run_dir)
        if not roots.is_open:
            roots.open()
            self._own_roots = roots
        self._check_room()
        self._oom_kills = OomKills()
        census, files = ProcessTable(trio.CapacityLimiter(1)), trio.CapacityLimiter(_STOP_FILE_THREADS)
        patience, keep = self._kill_timeout, self.max_output_dirs
        return Site(roots, self._terminal[0], census, files, patience, keep, self._soft_steps, self._leftovers)

    def _time_to_end(self, soft: float | None) -> float | None:
        """Return in how many seconds a job with so long a soft step has ended at the latest; `None` for no limit."""
        # After the last signal, what follows the end of a job has as long as that end had.
        steps = (soft, self._term_timeout, self._kill_timeout, self._kill_timeout, _KILL_MARGIN)
        return None if None in steps else sum(step or 0 for step in steps)

    def _check_room(self) -> None:
        """Log a warning of all that is short for as many jobs as may run at once."""
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
            self._start_task(self._call_witness)
        self._deadlines.catch_up = self._catch_up
        self._start_task(self._watch_standstill)
        await self._judges.run()

    async def _teardown(self) -> None:
        self._site.starts.unpause()
        if self._witness is not None and self._witness is not self._supervisors:
            await self._witness.aclose()
        if self._supervisors is not None:
            await self._supervisors.aclose()
        if self._own_roots is not None:
            self._own_roots.close()

    # ------------------------------------------------------------------ launching

    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        if self._paused_at is not None:
            await self._unpaused.wait()
        hooked = [job for job in jobs if job.spec.pre_launch is not None]
        others = [job for job in jobs if job.spec.pre_launch is None] if hooked else jobs
        async with trio.open_nursery() as nursery:
            for job in hooked:  # a hook may take long, so each has a thread of its own
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
        """Launch one slice after the other, until there are no more: other tasks may take from them, too."""
        for jobs in slices:
            await self._launch_slice(jobs, self._launching, nursery)

    @trio.lowlevel.enable_ki_protection
    async def _launch_slice(
        self, jobs: Sequence[LiveJob], limiter: trio.CapacityLimiter, nursery: trio.Nursery
    ) -> None:
        """Prepare jobs and have them started; `nursery` gets what waits for whether they were."""
        shims = await self._take_shims(jobs)
        begun: list[_Begun] = []
        started: list[_Started] = []
        for job, shim in shims:
            if not self._begin(job):
                if shim is not None:
                    shim.give_back()
                continue
            progress = self._progress_for(job)
            if shim is None and self._containment == "tree" and ignores_sigchld():
                self._not_started(
                    job, progress, NotLaunched(f"has containment 'group', which cannot be: {SIGCHLD_IGNORED}")
                )
                continue
            run = None if shim is None else launch_unprepared(self._site, job.spec, shim)
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
            await trio.lowlevel.checkpoint()  # many slices, one after the other, are a long time

    async def _launch_in_thread(
        self, begun: Sequence[_Begun], limiter: trio.CapacityLimiter, nursery: trio.Nursery
    ) -> None:
        """Prepare jobs and have them started, whatever there is to do, in a thread."""

        def start(one: _Begun) -> Launched:
            job, progress, shim = one
            return launch(self._site, job.spec, progress, partial(_is_wanted, job), shim)

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

        work = Work(start, begun, discard, lambda one: needed_paths(self._site, one[0].spec, one[1]))
        try:
            await each_in_thread(work, limiter=limiter, nursery=nursery, done=done, wait_for_thread=False)
        except OSError as exc:
            for job, progress, shim in work.left():
                if shim is not None:
                    shim.close()  # it takes the room of a thread
                self._not_started(job, progress, explain(exc, job.spec))

    async def _take_shims(self, jobs: Sequence[LiveJob]) -> Sequence[tuple[LiveJob, Shim | None]]:
        """Return jobs with what starts each: `None` is ourselves. Those for which there is no room are left out."""
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
        if self._supervisors is None:  # of all jobs of this backend, this is the first that wants one
            async with self._supervisors_lock:
                if self._supervisors is None:
                    try:
                        self._supervisors = await self._start_supervisors()
                    except OSError as exc:
                        return [], exc
                    self._start_task(self._supervisors.run)
                    self._start_task(self._take_ends)
        return await self._supervisors.take(count)

    @trio.lowlevel.enable_ki_protection
    async def _confirm(self, started: Sequence[_Started], nursery: trio.Nursery) -> None:
        """Wait until what was handed over runs, or could not be started."""
        left = deque(started)
        unprepared: list[_Begun] = []
        with trio.move_on_after(STALLED if len(started) > 1 else math.inf):
            while left:
                await self._confirm_one(left[0], unprepared)
                left.popleft()
        for one in left:  # the file system of one of them does not answer its shim: none waits for another
            nursery.start_soon(self._confirm, [one], nursery)
        if unprepared:
            await self._launch_in_thread(unprepared, self._launching, nursery)

    async def _confirm_one(self, one: _Started, unprepared: list[_Begun]) -> None:
        job, progress, shim, run = one
        try:
            await run.tree.wait_started()  # nothing after it waits, so a cancel leaves the job as it was
        except NotMadeError:
            unprepared.append((job, progress, shim))
        except (OSError, ValueError) as exc:
            run.close()
            self._not_started(job, progress, explain(exc, job.spec))
        else:
            job.data = run
            if isinstance(run.tree, GroupTree):
                run.tree.limit = partial(self._limit, job)
            self._allow(run.soft)
            if not self._launched(job):
                self._stop_run(job, run)
            ordinary = run.pty is None and not self._is_watched(job.spec)
            if not (ordinary and run.tree.announce_end(self._ended, (job, run))):
                self._start_task(self._watch, job, run)

    def _allow(self, soft: SoftStep | None) -> None:
        """Give no job up before the most patient one's stop sequence is over: the contract has one deadline for all."""
        if soft is not None and self.kill_deadline is not None:
            needed = self._time_to_end(soft.seconds)
            self.kill_deadline = None if needed is None else max(self.kill_deadline, needed)

    def _not_started(self, job: LiveJob, progress: Progress, result: NotLaunched | Busy | CalledOff | Prepared) -> None:
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

    def _progress_for(self, job: LiveJob) -> Progress:
        progress = self._progress_of.pop(job.spec, None)
        return progress if progress is not None and progress.attempt == job.attempt else Progress(job.attempt)

    # ------------------------------------------------------------------ killing

    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if job.data is not None:
                self._stop_run(job, job.data)

    def _force(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if job.data is not None:
                job.data.tree.kill()

    def _timed_out(self, job: LiveJob) -> None:
        """A time limit is for what runs: what has ended may be judged for as long as that takes."""
        if job.data is None or not job.data.tree.has_ended():
            super()._timed_out(job)

    def _limit(self, job: LiveJob, scope: trio.CancelScope, seconds: float) -> None:
        """Cancel a scope that belongs to the end of a job in so many seconds, in which it has not stood still."""
        if seconds < math.inf:
            self._deadlines.add(trio.current_time() + seconds, job, lambda _: scope.cancel())

    def _limit_concluding(self, job: LiveJob, run: LocalRun) -> None:
        run.is_concluding_limited = True
        self._limit(job, run.concluding, self._kill_timeout or math.inf)

    def _stop_run(self, job: LiveJob, run: LocalRun) -> None:
        """Begin the stop sequence; or, if it has ended by itself, see that its true status comes soon."""
        if run.tree.has_ended():
            self._limit_concluding(job, run)
        else:
            run.tree.stop(StopSteps(self._term_timeout, self._kill_timeout, run.soft))

    # ------------------------------------------------------------------ pausing

    def pause(self) -> None:
        """Stop all processes of all jobs, by SIGSTOP, until `unpause`; nothing is launched meanwhile.

        For a program that is about to stop itself, because somebody has pressed Ctrl-Z, say. The time until `unpause`
        counts towards no limit of a job. A job that is killed meanwhile is continued, so that it can end in order; the
        limits of its end count. Does not block, and may be called in any task, while the backend is open. Idempotent.
        """
        if self._paused_at is None and self._state in (BackendState.OPEN, BackendState.CLOSING):
            self._paused_at = trio.current_time()
            self._unpaused = trio.Event()
            self._deadlines.hold()
            for tree in [*self._site.starts.pause(), *self._contained_trees()]:
                tree.pause()

    def unpause(self) -> None:
        """Continue all processes of all jobs that `pause` has stopped. Does not block. Idempotent."""
        if self._paused_at is None:
            return
        seconds, self._paused_at = trio.current_time() - self._paused_at, None
        self._deadlines.release(seconds)
        for tree in [*self._site.starts.unpause(), *self._contained_trees()]:
            tree.unpause(seconds)
        self._unpaused.set()

    def _contained_trees(self) -> Iterable[ProcessTree]:
        return () if self._supervisors is None else self._supervisors.trees()

    # ------------------------------------------------------------------ standing still

    async def _call_witness(self) -> None:
        """Start a supervisor that keeps nothing, but notices when nobody runs. Not at once: short runs do without."""
        await trio.sleep(_TICK)
        try:
            from runtime.process.supervisor import (
                Supervisors,  # not for every system; an import needs a descriptor, too
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
        """Notice when our loop does not run; never returns by itself."""
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
        """Let no time count in which nobody ran."""
        if seconds > 0:
            logger.info("backend %r and its jobs stood still for %.1f s; no limit counts it", self.name, seconds)
            self._deadlines.postpone(seconds)
            for job in self._ledger:
                if isinstance(job.data, LocalRun):
                    job.data.tree.postpone(seconds)

    async def _catch_up(self) -> None:
        """Before limits that are late: hear what has happened, and whether our jobs had that time at all."""
        await trio.sleep(_MOMENT)
        if self._have_stood_still and self._witness is not None:
            self._have_stood_still = False
            await self._witness.flush()

    # ------------------------------------------------------------------ watching

    async def _take_ends(self) -> None:
        """See to their end the jobs whose trees were to be announced here."""
        async for first in self._ends:
            ends: list[End] = []
            for (job, run), how in [first, *self._further_ends()]:
                end = self._end_at_once(job, how)
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
        """Return how a job has ended whose tree has; `None` if that may take long to find out."""
        if end.stopped or end.left is not None or end.broken is not None:
            return None
        if end.exit is UNKNOWN or _may_be_oom(end.exit) or job.spec.post_finish is not None:
            return None
        found = self._concluder.judge_at_once(job.spec, end.exit, end.log)
        if found is None:
            return None
        verdict, log = found
        if verdict is PASSED and end.left_behind:
            verdict = self._with_leftovers(job.spec, end)
        return job, verdict.status, verdict.reason, usage_of(end.exit, log, end.left_behind)

    def _stops_early(self, spec: JobSpec) -> bool:
        return self._stop_on_fail_pattern and bool(spec.fail_patterns)

    def _is_watched(self, spec: JobSpec) -> bool:
        """Whether its log is looked at while it runs."""
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
            run.close()  # whatever went wrong here, it does not outlive us

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
        await self._judges.wait_failed(job.spec, run.log, _WATCH_INTERVAL)
        if not run.tree.has_ended():
            self._stop_run(job, run)

    @trio.lowlevel.enable_ki_protection
    async def _stop_when_too_large(self, job: LiveJob, run: LocalRun) -> None:
        message = await self._judges.wait_too_large(job.spec, run.log, _WATCH_INTERVAL)
        if not run.tree.has_ended():  # what has ended is judged, its size included
            self._stop([job], FailureKind.LOG_LIMIT, message)

    async def _wait_ended_interactive(self, run: LocalRun) -> TreeEnd:
        from runtime.process.terminal import Pty, attached  # not for every system

        assert run.pty is not None
        assert run.log_fd is not None
        # What the job writes before stays in the pty, so it is not drawn over.
        async with self.lend_terminal():
            async with attached(Pty(run.pty, run.pty_slave), run.log_fd, *self._terminal, self._judging):
                return await run.tree.wait_ended()
        raise AssertionError

    async def _conclude(self, job: LiveJob, run: LocalRun, end: TreeEnd) -> None:
        """Judge, call the hook, complete."""
        spec: JobSpec = job.spec
        if end.stopped and job.stop is not None:
            kind = job.stop.reason.kind
            status = JobStatus.KILLED if kind is None else kind.status
            patience = self._kill_timeout or KILL_TIMEOUT
            said = await self._concluder.conclude_stopped(spec, run.log, status, patience, end.log)
            self._complete_stopped(job, usage_of(end.exit, said), explain_stop(job.stop.reason, said))
            return
        if end.broken is not None:
            self._fail(job, FailureKind.BACKEND_ERROR, f"it was killed: {end.broken}", usage=usage_of(end.exit))
            return
        if end.exit is UNKNOWN:
            self._fail(job, FailureKind.LOST, "somebody else has reaped its process; how that ended is not known")
            return
        if job.stop is not None and not run.is_concluding_limited:  # it was asked to stop when it had ended
            self._limit_concluding(job, run)
        # Stopped, and nobody asked for it: a fail pattern had matched, and how the job ended was our doing.
        how = attrs.evolve(end.exit, code=0, signal=None, core_dumped=False) if end.stopped else end.exit
        verdict, log = await self._concluder.conclude(
            spec, run.log, how, run.concluding, self._kill_timeout, end.log, self._with_leftovers(spec, end)
        )
        if end.stopped and verdict is PASSED:
            verdict = failed(FailureKind.FAIL_PATTERN, "a fail pattern had matched; the line is no longer in its log")
        if _may_be_oom(how) and await in_thread(self._oom_kills.explain_one, limiter=self._judging):
            verdict = _out_of_memory(verdict)
        self._complete(job, verdict.status, verdict.reason, usage_of(end.exit, log, end.left_behind))

    def _with_leftovers(self, spec: JobSpec, end: TreeEnd) -> Verdict:
        """Return the verdict on a job that has passed, but for what it left running."""
        if not end.left_behind or (spec.leftovers or self._leftovers) != "fail":
            return PASSED
        what = ", ".join(end.left_behind)
        return failed(FailureKind.LEFTOVERS, f"it ended and left processes running, which were killed: {what}")


def _may_be_oom(how: Exit) -> bool:
    """Whether it, or what a shell ran last, was ended by SIGKILL."""
    return how.signal == signal.SIGKILL or how.code == _SHELLS_SIGNAL + signal.SIGKILL


def _out_of_memory(verdict: Verdict) -> Verdict:
    assert verdict.reason is not None
    message = f"{verdict.reason.message}; the kernel has killed a process here for want of memory"
    kind = FailureKind.OUT_OF_MEMORY
    return Verdict(kind.status, attrs.evolve(verdict.reason, message=message, kind=kind))


def _is_wanted(job: LiveJob) -> bool:
    return job.stop is None
