"""`LogWatch`: one task looks at the logs of all jobs that have an `idle_timeout`, while they run.

A log is only looked at in threads, and never through a link. Looks share a call of a thread; one that hangs in its file
system holds up no other (`each_in_thread`), and says nothing about its job, which is not stopped for it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import attrs
import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.live import DONE, LiveJob
from runtime.backend.log_clock import LOOK_INTERVAL, LogClock, Look
from runtime.job import FailureKind
from runtime.job.shorten import shorten
from runtime.process import Work, each_in_thread, is_out_of_resources
from runtime.verdict import LogPath, last_line, log_status, real_path

_THREADS: Final = 4
"""Threads that look at logs. Arbitrary: a look takes microseconds, so ten times more would mostly sleep; a single one
may hang in a file system that does not answer."""

_LATE: Final = 0.1
"""Seconds by which the task must wake too late for the loop to count as having stood still. As for `Deadlines`."""

_MAX_SHOWN: Final = 200
"""Characters of the last line that a message quotes. As many as of a line that a fail pattern matches."""

_SAYS_NOTHING: Final = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""Errors of a file system, which tell nothing about a log; all others mean that there is none."""


@attrs.define(eq=False)
class _Watched:
    """A job whose log is watched."""

    job: LiveJob
    log: LogPath
    clock: LogClock
    looking: bool = False
    """Whether a look is in progress."""

    def paths(self) -> Sequence[str]:
        """Return the paths whose file systems have to answer."""
        return (real_path(self.log),)


class LogWatch:
    """Stops the jobs that write nothing to their logs for their `idle_timeout`.

    Args:
        control: has the jobs and their deadlines.
        has_ended: whether a job has ended, so that only its completion is missing.
        late: seconds that it may take until growth of a log is seen here: jobs are stopped that much later.
    """

    def __init__(self, control: Control, has_ended: Callable[[LiveJob], bool], late: float = 0.0) -> None:
        self._control = control
        self._has_ended = has_ended
        self._late = late
        self._watched: dict[LiveJob, _Watched] = {}
        self._added = trio.Event()
        self._limiter = trio.CapacityLimiter(_THREADS)

    def add(self, job: LiveJob, log: LogPath) -> None:
        """Watch the log of a job that has begun to run. Does nothing if it has no `idle_timeout`, or is watched."""
        if job.spec.idle_timeout is not None and job not in self._watched:
            self._watched[job] = _Watched(job, log, LogClock(job.spec.idle_timeout, self._late, self._now()))
            self._added.set()

    def remove(self, job: LiveJob) -> None:
        """Watch the log of a job no longer, because it waits again. Of one that has ended, this need not be called."""
        self._watched.pop(job, None)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                if not self._watched:
                    self._added = trio.Event()
                    await self._added.wait()
                await self._wait_next_look()
                now = self._now()
                due = [each for each in self._still_watched() if not each.looking and each.clock.is_due(now)]
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

    def _still_watched(self) -> Sequence[_Watched]:
        for job in [job for job in self._watched if job.stage is DONE or job.stop is not None or self._has_ended(job)]:
            del self._watched[job]
        return list(self._watched.values())

    @trio.lowlevel.enable_ki_protection
    async def _look_at(self, due: Sequence[_Watched], began: float, nursery: trio.Nursery) -> None:
        def done(results: Sequence[tuple[_Watched, Look | None]]) -> None:
            for watched, look in results:
                watched.looking = False
                if self._watched.get(watched.job) is watched:
                    silent = watched.clock.on_look(look, began, self._now())
                    if silent is not None and not self._has_ended(watched.job):
                        self._stop(watched.job, silent, "" if look is None else look.last_line)

        work = Work(partial(_look, began), due, paths=_Watched.paths)
        await each_in_thread(work, limiter=self._limiter, nursery=nursery, done=done)

    def _stop(self, job: LiveJob, silent: float, last: str) -> None:
        wrote = f"its last line: {shorten(last, _MAX_SHOWN)}" if last else "its log has no line"
        about = f"{round(silent, 1):g} s (idle_timeout {job.spec.idle_timeout:g} s)"
        message = f"wrote nothing to its log for {about}; {wrote}"
        self._control.stop([job], FailureKind.IDLE, message)


def _look(began: float, watched: _Watched) -> Look | None:
    """Return what a log is like now; `None` if that cannot be found out. Blocks; raises nothing."""
    try:
        status = log_status(watched.log)
        stamp = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        text = ""
        if watched.clock.is_over(began):
            with suppress(OSError):  # the job has replaced it just now
                text = last_line(watched.log, raw=watched.job.spec.raw_lines)
        return Look(stamp, text)
    except OSError as exc:
        return None if exc.errno in _SAYS_NOTHING or is_out_of_resources(exc) else Look(None)
    except MemoryError:
        return None
