"""`LocalJob`: a job of this machine, from the start of its processes to its completion.

It is made by the launch, perhaps in a thread, and begins when its processes are known to run. What a request does
depends on how far the job has come::

    request      its root runs              its root has exited                          it has completed
    stop         the stop sequence begins   the rest takes at most `kill_timeout`        nothing
    force        SIGKILL                    SIGKILL to what is left of its processes     nothing
    time limit   stop                       nothing: the time of the judging is free     nothing

When its processes have ended, `how_ended` says how, and `LocalJob` completes it accordingly. One task
(`complete_ended`) completes the jobs that are contained, have a short log and need nothing special, many at a time.
Each other job has a task of its own (`LocalJob.watch`), and its log is judged in a thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import attrs
import trio

from runtime.backend.contract.control import Control, JobEnd
from runtime.backend.contract.live import LiveJob
from runtime.backend.finishing import Finisher, usage_of
from runtime.backend.local.ceilings import Ceiling
from runtime.backend.local.how_ended import Ending, how_ended, may_be_oom, out_of_memory, over_ceiling, with_leftovers
from runtime.backend.local.interactive import JobTerminal, UserTerminal
from runtime.backend.local.memory_watch import MemoryWatch
from runtime.backend.local.options import LocalOptions
from runtime.backend.local.token_pipes import TokenPipes
from runtime.backend.log_watch import LogWatch, is_watched
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.job.status import QUEUED
from runtime.process import UNKNOWN, GroupTree, ProcessTree, SoftStep, TreeEnd, in_thread
from runtime.process.memory import OomKills
from runtime.roots import RootedPath
from runtime.verdict import explain_stop, failed

_STOPPED_VERDICT_TIMEOUT: Final = 2.0
"""Seconds for the verdict and the hook of a job that was stopped, if there is no kill timeout. Arbitrary: ten times
longer delays the end of a run with a hook that hangs, ten times shorter loses the diagnosis of a long log."""

_WATCH_INTERVAL: Final = 1.0
"""Seconds between readings of a log, for `stop_on_fail_pattern` and for `max_log`. Arbitrary: ten times longer lets a
log grow by gigabytes past its limit, ten times shorter keeps threads busy with reading."""

EndedJob = tuple["LocalJob", TreeEnd]
"""A job, and the end of its processes."""


@attrs.frozen
class JobServices:
    """What all jobs of a backend share."""

    control: Control
    options: LocalOptions
    ended: trio.MemorySendChannel[EndedJob]
    """Takes the ends for `complete_ended`; of unlimited size."""
    finisher: Finisher
    log_watch: LogWatch
    oom_kills: OomKills
    memory_watch: MemoryWatch
    threads: trio.CapacityLimiter
    """Limits the threads that judge."""
    terminal: UserTerminal


class LocalJob:
    """A job and its processes; the `data` of its `LiveJob` from `start` on.

    Args:
        job: the job.
        tree: its processes.
        soft: the step before SIGTERM, if there is one.
        log: its log.
        terminal: that of an interactive job.
    """

    __slots__ = (
        "_concluding",
        "_is_limited",
        "_services",
        "ceiling",
        "job",
        "log",
        "soft",
        "terminal",
        "tokens",
        "tree",
    )

    _services: JobServices
    """Set by `start`."""

    def __init__(
        self,
        job: LiveJob,
        tree: ProcessTree,
        soft: SoftStep | None,
        log: RootedPath,
        terminal: JobTerminal | None = None,
    ) -> None:
        self.job: LiveJob = job
        self.tree: ProcessTree = tree
        self.soft: SoftStep | None = soft
        self.log: RootedPath = log
        self.terminal: JobTerminal | None = terminal
        self.tokens: TokenPipes | None = None
        """Its pipes to the jobserver, until that takes them over; assigned before `start`."""
        self.ceiling: Ceiling | None = None
        """What limits its memory, if anything does; assigned before `start`."""
        self._concluding: trio.CancelScope | None = None
        """Encloses the steps after its end, judging the log and `post_finish`; made on demand."""
        self._is_limited = False
        """Whether `_concluding` has a deadline, because the job was killed after its end."""

    def start(self, services: JobServices) -> None:
        """Record the start, and let its end be noticed."""
        job, tree = self.job, self.tree
        job.data, self._services = self, services
        if isinstance(tree, GroupTree):
            tree.limit = self._limit
        is_known = self._start_watched() if is_watched(job.spec) else services.control.started(job)
        if not is_known:  # it was abandoned as lost during its launch
            self.stop()
        if self.ceiling is not None:
            services.memory_watch.add(self, self.ceiling)
        watch = partial(services.control.start_task, self.watch)
        if self.terminal is None and self.ceiling is None and not self._is_log_watched():
            tree.announce_end(services.ended, self, watch)
        else:
            watch()

    def _start_watched(self) -> bool:
        """As `Control.started`, for a job whose log is watched: it may wait for a line of that."""
        job, services = self.job, self._services
        waits = job.spec.timeout_from is not None
        is_known = services.control.queued(job) if waits else services.control.started(job)
        services.log_watch.add(job, self.log)
        return is_known

    def destroy(self) -> None:
        """End its processes, if its launch was abandoned. Blocks."""
        self.tree.destroy()
        self.close()

    def close(self) -> None:
        """Close all descriptors. Idempotent."""
        self.tree.close()
        if self.tokens is not None:
            self.tokens.close()
        if self.ceiling is not None:
            self.ceiling.close()
        if self.terminal is not None:
            self.terminal.close()
            self.terminal = None

    # ------------------------------------------------------------------ requests

    def stop(self) -> None:
        """Begin the stop sequence; if its root has already exited, limit the time until its completion instead."""
        if self.tree.has_ended():
            self._limit_conclusion()
        else:
            self.tree.stop(self._services.options.timeouts.steps(self.soft))

    def force(self) -> None:
        """Skip the gentle steps of its stop sequence."""
        self.tree.kill()

    def has_ended(self) -> bool:
        """Whether its root is known to have exited."""
        return self.tree.has_ended()

    def postpone(self, seconds: float) -> None:
        """Extend the step of its stop sequence that is in progress."""
        self.tree.postpone(seconds)

    def _limit_conclusion(self) -> None:
        self._is_limited = True
        self._limit(self._conclusion_scope(), self._services.options.timeouts.kill or math.inf)

    def _conclusion_scope(self) -> trio.CancelScope:
        if self._concluding is None:
            self._concluding = trio.CancelScope()
        return self._concluding

    def _limit(self, scope: trio.CancelScope, seconds: float) -> None:
        """Cancel `scope`, which encloses a step of its end, after `seconds`; a standstill does not count."""
        if seconds < math.inf:
            self._services.control.deadlines.add(trio.current_time() + seconds, self.job, lambda _: scope.cancel())

    # ------------------------------------------------------------------ until its processes have ended

    async def watch(self) -> None:
        """Wait for the end of its processes, and complete it."""
        try:
            end = await self._wait_ended()
            over = None if self.ceiling is None else await self._services.memory_watch.conclude(self, self.ceiling)
            await self._complete(end, over)
            await self.tree.wait_gone()
        finally:
            self.close()  # an error here must not leave the processes running
            self._unlink()

    def _unlink(self) -> None:
        """Remove the reference of its `LiveJob` to it: without that cycle, both are freed without the collector."""
        self.job.data = None

    async def _wait_ended(self) -> TreeEnd:
        tree = self.tree
        if self.terminal is not None:
            return await self.terminal.wait_ended(tree, self._services.terminal)
        if not self._is_log_watched():
            return await tree.wait_ended()
        async with trio.open_nursery() as nursery:
            if self._stops_early():
                nursery.start_soon(self._stop_when_failed)
            if self.job.spec.max_log is not None:
                nursery.start_soon(self._stop_when_too_large)
            end = await tree.wait_ended()
            nursery.cancel_scope.cancel()
        return end

    def _is_log_watched(self) -> bool:
        """Whether its log is read while it runs."""
        return self.job.spec.max_log is not None or self._stops_early()

    def _stops_early(self) -> bool:
        return self._services.options.stop_on_fail_pattern and bool(self.job.spec.fail_patterns)

    @trio.lowlevel.enable_ki_protection
    async def _stop_when_failed(self) -> None:
        await self._services.finisher.verdicts.wait_failed(self.job.spec, self.log, _WATCH_INTERVAL)
        if not self.has_ended():
            self.stop()

    @trio.lowlevel.enable_ki_protection
    async def _stop_when_too_large(self) -> None:
        message = await self._services.finisher.verdicts.wait_too_large(self.job.spec, self.log, _WATCH_INTERVAL)
        if not self.has_ended():  # judging the log of a job that has ended checks its size, too
            self._services.control.stop([self.job], FailureKind.LOG_LIMIT, message)

    # ------------------------------------------------------------------ after that

    def end_at_once(self, end: TreeEnd) -> JobEnd | None:
        """Return the end of the job, if finding it takes microseconds; else `None`."""
        spec: JobSpec = self.job.spec
        if end.stopped or end.left is not None or end.broken is not None or self.job.status is QUEUED:
            return None
        if end.exit is UNKNOWN or may_be_oom(end.exit) or spec.post_finish is not None:
            return None
        verdict = self._services.finisher.verdicts.at_once(spec, end.exit, end.log)
        if verdict is None:
            return None
        usage = usage_of(end.exit, verdict.log, end.left_behind)
        if end.left_behind and verdict.passed:
            verdict = with_leftovers(self._leftovers(), end)
        self._unlink()
        return self.job, verdict.status, verdict.reason, usage

    def _leftovers(self) -> str:
        return self.job.spec.leftovers or self._services.options.leftovers

    async def _complete(self, end: TreeEnd, over: str | None = None) -> None:
        """Complete it. `over` says how it was over its ceiling, if it was."""
        job, control = self.job, self._services.control
        match how_ended(end, is_stopped=job.stop is not None):
            case Ending.LOST:
                pids = ", ".join(map(str, end.left or ())) or "of unknown ids"
                seconds = self._services.options.timeouts.kill or 0
                message = f"processes {pids} (unreaped) did not end within {seconds:g} s of SIGKILL"
                if end.broken is not None:
                    message = f"{end.broken}; {message}"
                control.fail(job, FailureKind.LOST, message, usage=usage_of(end.exit))
            case Ending.STOPPED:
                await self._complete_stopped(end)
            case Ending.BROKEN:
                message = f"it was killed: {end.broken}"
                kind = FailureKind.BACKEND_ERROR
                if over is not None:  # the kernel may take its shim, which was in the cgroup while it started the root
                    message, kind = f"{over}; {message}", FailureKind.OUT_OF_MEMORY
                control.fail(job, kind, message, usage=usage_of(end.exit))
            case Ending.REAPED_ELSEWHERE:
                message = "other code has reaped its process, so its exit code is not known"
                control.fail(job, FailureKind.LOST, message)
            case Ending.EXITED | Ending.STOPPED_EARLY:
                await self._complete_judged(end, over)

    async def _complete_stopped(self, end: TreeEnd) -> None:
        """Call `post_finish`, and complete it with the reason of its stop, and what its log says about that."""
        job, services = self.job, self._services
        assert job.stop is not None
        kind = job.stop.reason.kind
        status = JobStatus.KILLED if kind is None else kind.status
        timeout = services.options.timeouts.kill or _STOPPED_VERDICT_TIMEOUT
        judgement = await services.finisher.conclude_stopped(job.spec, self.log, status, timeout, end.log)
        services.control.finish_stopped(job, usage_of(end.exit, judgement), explain_stop(job.stop.reason, judgement))

    async def _complete_judged(self, end: TreeEnd, over: str | None) -> None:
        """Judge its log, call `post_finish`, and complete it."""
        job, services = self.job, self._services
        if job.status is QUEUED:  # the line from which it runs may be among the last ones
            await services.log_watch.look_last(job, self.log)
        if job.stop is not None and not self._is_limited:  # the kill came after its end
            self._limit_conclusion()
        # Stopped without a request: a fail pattern had matched. We caused this exit, so it is not held against the job.
        how = attrs.evolve(end.exit, code=0, signal=None, core_dumped=False) if end.stopped else end.exit
        verdict = await services.finisher.conclude(
            job.spec,
            self.log,
            how,
            self._conclusion_scope(),
            services.options.timeouts.kill,
            end.log,
            with_leftovers(self._leftovers(), end) if over is None else failed(FailureKind.OUT_OF_MEMORY, over),
        )
        usage = usage_of(end.exit, verdict.log, end.left_behind)
        if end.stopped and verdict.passed:
            verdict = failed(FailureKind.FAIL_PATTERN, "a fail pattern had matched; the line is no longer in its log")
        if over is not None:
            verdict = over_ceiling(verdict, over)
        elif may_be_oom(how) and await in_thread(services.oom_kills.explain_one, limiter=services.threads):
            verdict = out_of_memory(verdict)
        services.control.finish(job, verdict.status, verdict.reason, usage)


async def complete_ended(ended: trio.MemoryReceiveChannel[EndedJob], control: Control) -> None:
    """Complete the jobs whose processes announce their end. Returns only if cancelled."""
    async for first in ended:
        ends: list[JobEnd] = []  # completed together, so that the receiver gets few and large batches
        for job, tree_end in [first, *_further(ended)]:
            end = job.end_at_once(tree_end)
            if end is None:
                control.start_task(job.watch)
            else:
                ends.append(end)
        control.finish_all(ends)


def _further(ended: trio.MemoryReceiveChannel[EndedJob]) -> Iterator[EndedJob]:
    with suppress(trio.WouldBlock):
        while True:
            yield ended.receive_nowait()
