"""`LocalBackend`: jobs are processes of this machine.

A job's road: a slice of jobs is launched in a thread; then a task per job waits for the end of its root process, sees
that its process group ends with it, has its log judged in a thread if there is anything to judge, and completes it.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import trio

from runtime.backends.backend import RuntimeBackend, check_limit
from runtime.backends.live import LiveJob
from runtime.backends.local.judging import Judges
from runtime.backends.local.launch import Busy, CalledOff, LocalRun, NotLaunched, Prepared, Progress, Site, Slice
from runtime.job import FailureKind, JobSpec, JobStatus, JobStatusInfo, JobUsage
from runtime.logs import PASSED, Judgement, LogPatterns, Verdict
from runtime.process import UNKNOWN, Census, Exit, GroupEnd, sweep_group, terminate_group

logger: Final = logging.getLogger("runtime.backends.local")

T = TypeVar("T")

TERM_TIMEOUT: Final = 2.0
"""Seconds between SIGTERM and SIGKILL. DVSim's."""

KILL_TIMEOUT: Final = 2.0
"""Seconds that a job may take to be gone after SIGKILL. DVSim's."""

MAX_OUTPUT_DIRS: Final = 5
"""Old output directories of a job. DVSim's."""

_SLICE: Final = 8
"""Jobs per hop to a thread: a hop costs a tenth of a process, and a job that is to be killed waits for its slice."""

_LAUNCH_THREADS: Final = 8
_JUDGE_THREADS: Final = 6
_HOOK_THREADS: Final = 64
"""Threads for each class of work that blocks; hooks are other people's code, and may take long. Out of the air."""

_KILL_MARGIN: Final = 5.0
"""Seconds beyond the steps of a kill after which the contract gives the job up. Out of the air."""

_SPARE_DESCRIPTORS: Final = 64
"""What else this process may have open, at a guess, besides one descriptor per job."""


class LocalBackend(RuntimeBackend):
    """Runs jobs as processes of this machine.

    Args:
        max_parallelism: how many jobs run at once; `None` for as many as there are CPUs that this process may use.
        run_dir: where jobs that name no directory get theirs; `None` for a private temporary one, which is not deleted.
        term_timeout: seconds between SIGTERM and SIGKILL; `None` for 2.
        kill_timeout: seconds that a job may take to be gone after SIGKILL, before it is given up as lost; `None` for 2.
        max_output_dirs: how many old output directories of a job with `renew_odir` are kept; `None` for 5.
        containment: ``"group"``: what a job leaves behind in its process group is killed when its root process ends.
        terminal: descriptors of the user's input and output, for interactive jobs.
        options: as for `RuntimeBackend`.

    A limit of 0 means no limit. The environment that jobs inherit is that of this process when the backend is opened.

    Raises:
        ValueError: for an argument that cannot be what it is.
    """

    name = "local"
    supports_interactive = True

    def __init__(
        self,
        max_parallelism: int | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        term_timeout: float | None = None,
        kill_timeout: float | None = None,
        max_output_dirs: int | None = None,
        containment: str = "group",
        terminal: tuple[int, int] = (0, 1),
        **options: Any,
    ) -> None:
        super().__init__(max_parallelism=usable_cpus() if max_parallelism is None else max_parallelism, **options)
        if containment != "group":
            msg = f"LocalBackend: containment is {containment!r}; wanted: 'group'"
            raise ValueError(msg)
        self._term_timeout = check_limit("LocalBackend: term_timeout", term_timeout, TERM_TIMEOUT, whole=False)
        self._kill_timeout = check_limit("LocalBackend: kill_timeout", kill_timeout, KILL_TIMEOUT, whole=False)
        keep = check_limit("LocalBackend: max_output_dirs", max_output_dirs, MAX_OUTPUT_DIRS)
        self.max_output_dirs = None if keep is None else int(keep)
        # After the last signal, what follows the end of a job has as long as that end had.
        steps = (self._term_timeout, self._kill_timeout, self._kill_timeout, _KILL_MARGIN)
        self.kill_deadline = None if None in steps else sum(step or 0 for step in steps)
        self.run_dir: str | None = None if run_dir is None else os.fspath(run_dir)
        """The run directory; of a temporary one the path is known once the backend is open."""
        self._terminal = terminal
        self._progress_of: weakref.WeakKeyDictionary[JobSpec, Progress] = weakref.WeakKeyDictionary()
        self._site: Site
        self._census: Census
        self._judges: Judges
        self._launching: trio.CapacityLimiter
        self._judging: trio.CapacityLimiter
        self._hooking: trio.CapacityLimiter

    async def _setup(self) -> None:
        if not hasattr(os, "pidfd_open"):
            msg = "LocalBackend needs Linux"
            raise RuntimeError(msg)
        self._launching = trio.CapacityLimiter(_LAUNCH_THREADS)
        self._judging = trio.CapacityLimiter(_JUDGE_THREADS)
        self._hooking = trio.CapacityLimiter(_HOOK_THREADS)
        self._judges = Judges(self._judging)
        self._census = Census(trio.CapacityLimiter(1))
        self._site = await trio.to_thread.run_sync(self._make_site, limiter=self._launching)
        self.run_dir = self._site.run_dir

    def _make_site(self) -> Site:
        if self.run_dir is None:
            run_dir = tempfile.mkdtemp(prefix="job-runtime-")
            logger.info("backend %r runs its jobs in %s", self.name, run_dir)
        else:
            run_dir = os.path.abspath(self.run_dir)
            os.makedirs(run_dir, exist_ok=True)
        warn_of_few_descriptors(self.name, self.max_parallelism)
        return Site(run_dir, self._terminal[0], self.max_output_dirs)

    async def _serve(self) -> None:
        await self._judges.run()

    # ------------------------------------------------------------------ launching

    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        hooked = [job for job in jobs if job.spec.pre_launch is not None]
        others = [job for job in jobs if job.spec.pre_launch is None] if hooked else jobs
        async with trio.open_nursery() as nursery:
            for job in hooked:  # a hook may take long, so each has a thread of its own
                nursery.start_soon(self._launch_slice, [job], self._hooking)
            for start in range(0, len(others), _SLICE):
                await self._launch_slice(others[start : start + _SLICE], self._launching)

    async def _launch_slice(self, jobs: Sequence[LiveJob], limiter: trio.CapacityLimiter) -> None:
        begun = [(job, self._progress_for(job)) for job in jobs if self._begin(job)]
        if not begun:
            return
        work = Slice(self._site, [(job.spec, progress, partial(_is_wanted, job)) for job, progress in begun])
        try:
            await trio.to_thread.run_sync(work.run, limiter=limiter, abandon_on_cancel=True)
        except trio.Cancelled:
            work.abandon()
            raise
        for (job, progress), result in zip(begun, work.results, strict=True):
            if isinstance(result, Busy):
                logger.info("backend %r is busy: job %r %s", self.name, job.id, result.why)
                self._progress_of[job.spec] = progress
                self._refuse(job)
            elif isinstance(result, NotLaunched):
                self._fail(job, FailureKind.LAUNCH_ERROR, result.why)
            elif isinstance(result, CalledOff):
                self._complete_stopped(job)
            elif isinstance(result, Prepared):
                self._launched(job)
                self._complete(job, JobStatus.PASSED)
            else:
                job.data = result
                if not self._launched(job):
                    self._stop_run(result)
                self._start_task(self._watch, job, result)

    def _progress_for(self, job: LiveJob) -> Progress:
        progress = self._progress_of.pop(job.spec, None)
        return progress if progress is not None and progress.attempt == job.attempt else Progress(job.attempt)

    # ------------------------------------------------------------------ killing

    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if job.data is not None:
                self._stop_run(job.data)

    def _force(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if job.data is not None:
                job.data.grace.cancel()

    def _timed_out(self, job: LiveJob) -> None:
        """A time limit is for what runs: what has ended may be judged for as long as that takes."""
        if job.data is None or not job.data.child.has_exited():
            super()._timed_out(job)

    def _stop_run(self, run: LocalRun) -> None:
        """Begin the stop sequence; or, if it has ended by itself, see that its true status comes soon."""
        now = trio.current_time()
        if run.child.has_exited():
            run.concluding.deadline = now + (self._kill_timeout or math.inf)
        else:
            run.stopped = True
            run.grace.deadline = now + (self._term_timeout or math.inf)
            run.waiting.cancel()

    # ------------------------------------------------------------------ watching

    async def _watch(self, job: LiveJob, run: LocalRun) -> None:
        try:
            if run.pty is None:
                end = await self._wait_ended(run)
            else:
                end = await self._wait_ended_interactive(run)
            if end.left is not None:
                pids = ", ".join(map(str, end.left)) or "of unknown ids"
                message = f"processes {pids} (unreaped) did not end within {self._kill_timeout:g} s of SIGKILL"
                self._fail(job, FailureKind.LOST, message, usage=_usage(end.exit))
            else:
                await self._conclude(job, run, end.exit)
            if not run.child.reaped:
                await run.child.wait_exited()
                run.child.reap()
        finally:
            run.child.signal_group(
                signal.SIGKILL
            )  # unless it was reaped; whatever went wrong here, it does not outlive us
            run.close()

    async def _wait_ended(self, run: LocalRun) -> GroupEnd:
        """Wait until the root has ended, by itself or by our doing, and end its group."""
        with run.waiting:
            await run.child.wait_exited()
        if run.stopped:
            await terminate_group(run.child, self._census, run.grace)
        return await sweep_group(run.child, self._census, self._kill_timeout or math.inf)

    async def _wait_ended_interactive(self, run: LocalRun) -> GroupEnd:
        from runtime.process.terminal import Pty, attached  # not for every system

        assert run.pty is not None
        async with attached(Pty(run.pty, run.pty_slave), run.log_fd, *self._terminal, self._judging):
            return await self._wait_ended(run)
        raise AssertionError

    async def _conclude(self, job: LiveJob, run: LocalRun, how: Exit) -> None:
        """Judge, call the hook, complete."""
        spec: JobSpec = job.spec
        if run.stopped and job.stop is not None:
            if spec.post_finish is not None:
                kind = job.stop.reason.kind
                with trio.move_on_after(self._kill_timeout or math.inf):
                    await self._call_hook(spec, JobStatus.KILLED if kind is None else kind.status)
            self._complete_stopped(job, _usage(how))
            return
        if how is UNKNOWN:
            self._fail(job, FailureKind.LOST, "somebody else has reaped its process; how that ended is not known")
            return
        verdict, log = await self._find_verdict(spec, run, how)
        self._complete(job, verdict.status, verdict.reason, _usage(how, log))

    async def _find_verdict(self, spec: JobSpec, run: LocalRun, how: Exit) -> tuple[Verdict, Judgement | None]:
        verdict, log = PASSED, None
        doing = FailureKind.LOG_UNREADABLE, "its log was not judged"
        with run.concluding:
            if how.code != 0 or LogPatterns.of(spec):
                verdict, log = await self._judges.judge(spec, run.log, how)
            if spec.post_finish is not None:
                doing = FailureKind.HOOK, "post_finish did not return"
                error = await self._call_hook(spec, verdict.status)
                if error is not None and verdict is PASSED:
                    verdict = _failed(FailureKind.HOOK, f"post_finish raised {error!r}")
        if run.concluding.cancelled_caught and verdict is PASSED:
            kind, what = doing
            verdict = _failed(kind, f"{what} within {self._kill_timeout:g} s of a kill that came after its end")
        return verdict, log

    async def _call_hook(self, spec: JobSpec, status: JobStatus) -> BaseException | None:
        """Call `post_finish` in a thread; return what it raised."""
        hook = spec.post_finish
        assert hook is not None

        def call() -> BaseException | None:
            try:
                hook(status)
            except BaseException as exc:  # noqa: BLE001 - whatever a hook raises costs its own job, and no other
                return exc
            return None

        error = await _in_thread(self._hooking, call)
        if error is not None:
            logger.warning("post_finish of job %r raised", spec.id, exc_info=error)
        return error


def _is_wanted(job: LiveJob) -> bool:
    return job.stop is None


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def warn_of_few_descriptors(name: str, jobs: int | None) -> None:
    """Log a warning if fewer files may be open than `jobs` need: one each while they run."""
    import resource  # not there on every system that may import this module

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if jobs is not None and limit != resource.RLIM_INFINITY and limit < jobs + _SPARE_DESCRIPTORS:
        wanted = jobs + _SPARE_DESCRIPTORS
        logger.warning(
            "backend %r: %d jobs at once need about %d open files, and %d are allowed; say `ulimit -n %d`, or expect "
            "jobs to be refused as busy",
            name,
            jobs,
            wanted,
            limit,
            wanted,
        )


async def _in_thread(limiter: trio.CapacityLimiter, function: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(function, limiter=limiter, abandon_on_cancel=True)


def _failed(kind: FailureKind, message: str) -> Verdict:
    return Verdict(kind.status, JobStatusInfo(message, kind=kind))


def _usage(how: Exit, log: Judgement | None = None) -> JobUsage:
    return JobUsage(
        how.cpu_seconds,
        how.peak_bytes,
        how.code,
        how.signal,
        None if log is None else log.job_runtime,
        None if log is None else log.simulated_time,
    )
