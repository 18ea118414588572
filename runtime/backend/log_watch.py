"""`LogWatch`: one task looks at the logs of all jobs that have a `timeout_from` or an `idle_timeout`.

A job with a `timeout_from` is QUEUED until a line matches that, although its process runs; from then on it is RUNNING.
A job that runs, and has an `idle_timeout`, is stopped if its log does not change for so long.

Looks share a call of a thread; one that hangs in its file system holds up no other (`each_in_thread`), and says nothing
about its job, which is not stopped for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.live import DONE, LiveJob
from runtime.backend.log_clock import LOOK_INTERVAL, LogClock, Look
from runtime.backend.verdict_pool import VerdictPool
from runtime.backend.watched_log import Searched, WatchedLog
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.job.shorten import shorten
from runtime.process import Work, each_in_thread, in_thread
from runtime.verdict import LogPath

logger: Final = logging.getLogger("runtime.backend")

_THREADS: Final = 4
"""Threads that look at logs. Arbitrary: a look takes microseconds, so ten times more would mostly sleep; a single one
may hang in a file system that does not answer."""

_LATE: Final = 0.1
"""Seconds by which the task must wake too late for the loop to count as having stood still. As for `Deadlines`."""

_LAST_LOOK_TIMEOUT: Final = 5.0
"""Seconds for the look at the log of a job that has ended. Arbitrary: ten times longer delays the end of jobs on a file
system that does not answer; ten times shorter misses the line on a slow one, and then it is not known when they ran."""

_MAX_SHOWN: Final = 200
"""Characters of the last line that a message quotes. As many as of a line that a fail pattern matches."""
_MAX_PATTERN: Final = 80
"""Characters of a pattern that a note quotes. Arbitrary: ten times more fill a screen, ten times fewer tell little."""


def is_watched(spec: JobSpec) -> bool:
    """Whether the log of a job has to be watched while it runs."""
    return spec.timeout_from is not None or spec.idle_timeout is not None


@attrs.define(eq=False)
class _Watched:
    """A job whose log is watched."""

    job: LiveJob
    log: WatchedLog
    where: str | None
    """Where it runs."""
    waits: bool
    """Whether it waits for the line from which it runs."""
    clock: LogClock | None = None
    """Counts its silence, if it runs and has an `idle_timeout`."""
    looking: bool = False
    """Whether a look is in progress."""

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look."""
        return not self.looking and (self.waits or (self.clock is not None and self.clock.is_due(now)))

    def look(self, began: float) -> Searched | Look | None:
        """Look at the log. For a thread."""
        if self.waits or self.clock is None:
            return self.log.search()
        return self.log.look(with_last_line=self.clock.is_over(began))


class LogWatch:
    """Watches the logs of jobs, and reports what follows.

    Args:
        control: has the jobs and their deadlines.
        verdicts: searches logs.
        has_ended: whether a job has ended, so that only its completion is missing.
        late: seconds that it may take until growth of a log is seen here: silent jobs are stopped that much later.
    """

    def __init__(
        self, control: Control, verdicts: VerdictPool, has_ended: Callable[[LiveJob], bool], late: float = 0.0
    ) -> None:
        self._control = control
        self._verdicts = verdicts
        self._has_ended = has_ended
        self._late = late
        self._watched: dict[LiveJob, _Watched] = {}
        self._added = trio.Event()
        self._limiter = trio.CapacityLimiter(_THREADS)

    # ------------------------------------------------------------------ jobs

    def add(self, job: LiveJob, log: LogPath, where: str | None = None) -> bool:
        """Watch the log of a job whose process has begun. Called again, it only sets `where`.

        Args:
            job: a QUEUED job if it has a `timeout_from`, else a RUNNING one.
            log: where its log is.
            where: where it runs; `None` where that goes without saying.

        Returns:
            Whether it waits for the line from which it runs. It is reported as RUNNING when that is there.
        """
        watched = self._watched.get(job)
        if watched is None:
            watched = self._watched[job] = self._make(job, log, where)
            self._added.set()
            if watched.waits:
                self._control.wait_anew(job)  # not the wait in the queue: its `queue_timeout` begins with its process
            else:
                self._start_clock(watched)
        watched.where = where
        if watched.waits:
            self._control.progress(job, JobStatus.QUEUED, self._note(watched))
        return watched.waits

    def remove(self, job: LiveJob) -> bool:
        """Watch the log of a job no longer, because it waits again; return whether it has waited for a line.

        Need not be called for a job that has ended.
        """
        watched = self._watched.pop(job, None)
        if watched is not None:
            watched.log.close()
        return watched is not None and watched.waits

    async def look_last(self, job: LiveJob, log: LogPath, where: str | None = None) -> None:
        """Report a QUEUED job that has ended as RUNNING if its log has the line from which it runs, unnoticed yet."""
        watched = self._watched.pop(job, None) or self._make(job, log, where)
        try:
            with trio.move_on_after(_LAST_LOOK_TIMEOUT):
                found = await in_thread(watched.log.search, limiter=self._limiter, paths=watched.log.paths)
                if found.found:
                    self._control.progress(job, JobStatus.RUNNING, watched.where or "")
        finally:
            watched.log.close()

    def describe_wait(self, job: LiveJob) -> str | None:
        """Return what a job waits for; `None` if that is not a line of its log."""
        watched = self._watched.get(job)
        return None if watched is None or not watched.waits else _wait_of(job.spec)

    def _make(self, job: LiveJob, log: LogPath, where: str | None) -> _Watched:
        spec: JobSpec = job.spec
        return _Watched(job, WatchedLog(spec, log, self._verdicts.start_follower), where, spec.timeout_from is not None)

    def _start_clock(self, watched: _Watched) -> None:
        idle_timeout = watched.job.spec.idle_timeout
        if idle_timeout is not None:
            watched.clock = LogClock(idle_timeout, self._late, self._now())

    @staticmethod
    def _note(watched: _Watched) -> str:
        return f"{'' if watched.where is None else f'on {watched.where}, '}waits {_wait_of(watched.job.spec)}"

    # ------------------------------------------------------------------ looks

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                if not self._watched:
                    self._added = trio.Event()
                    await self._added.wait()
                await self._wait_next_look()
                now = self._now()
                due = [each for each in self._live() if each.is_due(now)]
                if due:
                    for each in due:
                        each.looking = True
                    nursery.start_soon(self._look_at, due, now, nursery)

    async def _wait_next_look(self) -> None:
        due = trio.current_time() + LOOK_INTERVAL
        await trio.sleep_until(due)
        if trio.current_time() > due + _LATE:
            # The loop stood still, perhaps with all jobs: that is only known when `catch_up` has returned.
            await self._control.deadlines.catch_up()

    def _now(self) -> float:
        """Return the time without the seconds in which the jobs stood still: those move all deadlines."""
        return trio.current_time() - self._control.deadlines.moved

    def _live(self) -> Sequence[_Watched]:
        """Return what is watched and may still change something, and forget jobs that have completed."""
        for job in [job for job in self._watched if job.stage is DONE]:
            self.remove(job)
        return [each for each in self._watched.values() if each.job.stop is None and not self._has_ended(each.job)]

    @trio.lowlevel.enable_ki_protection
    async def _look_at(self, due: Sequence[_Watched], began: float, nursery: trio.Nursery) -> None:
        def done(results: Sequence[tuple[_Watched, Searched | Look | None]]) -> None:
            for watched, found in results:
                watched.looking = False
                job = watched.job
                if self._watched.get(job) is not watched or job.stop is not None or self._has_ended(job):
                    continue
                if isinstance(found, Searched):
                    self._on_search(watched, found)
                elif watched.clock is not None:
                    silent = watched.clock.on_look(found, began, self._now())
                    if silent is not None:
                        self._stop(job, silent, "" if found is None else found.last_line)

        work = Work(lambda watched: watched.look(began), due, paths=lambda watched: watched.log.paths())
        await each_in_thread(work, limiter=self._limiter, nursery=nursery, done=done)

    def _on_search(self, watched: _Watched, searched: Searched) -> None:
        job = watched.job
        if searched.given_up is not None:  # a job without a limit would be worse than one whose limit begins too early
            message = "job %r counts as running: its log is not searched for timeout_from any longer: %s"
            logger.warning(message, job.id, searched.given_up)
        elif not searched.found:
            return
        watched.waits = False
        watched.log.close()
        self._start_clock(watched)
        self._control.progress(job, JobStatus.RUNNING, watched.where or "")
        if watched.clock is None:
            self.remove(job)

    def _stop(self, job: LiveJob, silent: float, last: str) -> None:
        wrote = f"its last line: {shorten(last, _MAX_SHOWN)}" if last else "its log has no line"
        about = f"{round(silent, 1):g} s (idle_timeout {job.spec.idle_timeout:g} s)"
        message = f"wrote nothing to its log for {about}; {wrote}"
        self._control.stop([job], FailureKind.IDLE, message)


def _wait_of(spec: JobSpec) -> str:
    return f"for a line that matches {shorten(spec.timeout_from or '', _MAX_PATTERN)!r} (timeout_from)"
