"""`StandstillWatch`: time in which neither the event loop nor the jobs ran counts towards no limit of a job.

See `runtime.process.standstill`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from runtime.backend.contract.control import Control
from runtime.process.standstill import Standstill

logger: Final = logging.getLogger("runtime.backend.local")

TICK: Final = 1.0
_STANDSTILL: Final = 1.0
"""Seconds that a task sleeps, and seconds by which it must wake too late for our loop to count as having stood still.
Arbitrary: ten times longer charges long standstills to the jobs, ten times shorter takes a busy machine for one."""

_CATCH_UP_TIME: Final = 0.1
"""Seconds for which other tasks run first after the loop stood still, to process the events of that time. Arbitrary:
ten times longer delays time limits, ten times shorter reports jobs as lost whose ends were not read yet."""


class StandstillWatch:
    """Postpones the deadlines of all jobs by the time of a standstill.

    Args:
        control: has the jobs and their deadlines. The `data` of a job is `None`, or has a method `postpone`.
        flush: waits until a report of the witness has arrived, if one is due.
    """

    def __init__(self, control: Control, flush: Callable[[], Awaitable[object]]) -> None:
        self._control = control
        self._flush = flush
        self._standstill = Standstill()
        self._have_stood_still = False
        """Whether our loop has stood still since the witness was last asked whether the jobs had, too."""
        self._answered = trio.Event()
        """Set unless the witness is being asked."""
        self._answered.set()

    async def run(self) -> None:
        """Notice when our loop stands still. Returns only if cancelled."""
        while True:
            begun = time.monotonic()
            await trio.sleep(TICK)
            self.note_ours(begun + TICK)

    def note_ours(self, due: float) -> None:
        """Note that the loop, which was to wake up at `due`, runs again. In seconds of `time.monotonic`."""
        now = time.monotonic()
        if now - due > _STANDSTILL:
            self._have_stood_still = True
            self._postpone(self._standstill.add_ours(due, now))

    def note_theirs(self, begin: float, end: float) -> None:
        """Note that the witness stood still, in seconds of `time.monotonic`."""
        self._postpone(self._standstill.add_theirs(begin, end))

    def _postpone(self, seconds: float) -> None:
        if seconds > 0:
            name = self._control.name
            logger.info("backend %r and its jobs stood still for %.1f s; no limit counts it", name, seconds)
            self._control.deadlines.postpone(seconds)
            for job in self._control.live_jobs():
                if job.data is not None:
                    job.data.postpone(seconds)

    async def catch_up(self) -> None:
        """Before deadlines that are late: process events, and ask the witness whether the jobs stood still, too."""
        await trio.sleep(_CATCH_UP_TIME)
        # Its report may arrive after the sleep. Without it, jobs that stood still as well would exceed their limits.
        if self._have_stood_still:
            self._have_stood_still = False
            self._answered = trio.Event()
            try:
                await self._flush()
            finally:
                self._answered.set()
        else:  # the deadlines and the log watch may both be late, and only the first of them asks
            await self._answered.wait()
