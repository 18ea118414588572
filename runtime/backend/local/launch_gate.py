"""`LaunchGate`: which jobs may start now, as far as this machine has room for them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.live import LAUNCHED, LiveJob
from runtime.process import in_thread
from runtime.process.headroom import Headroom, MachineState, pressure, shortage

logger: Final = logging.getLogger("runtime.backend.local")

_AGE: Final = 1.0
"""Seconds for which a reading counts. Arbitrary: ten times longer, and a machine fills up meanwhile; ten times shorter,
and reading takes time from the jobs."""
_TIMEOUT: Final = 2.0
"""Seconds that a reading may take: a file system may not answer. Then nothing is known, and nothing is held back."""

_TELL_AGAIN: Final = 300.0
"""Seconds after which the user is told again that nothing starts. Arbitrary: at the limit, launching stops and goes on
with each job. With a tenth, such a run fills the screen; with ten times as many, nobody knows why it is slow."""


class LaunchGate:
    """Holds jobs back while the machine has too little room. They are refused, so the scheduler offers them again.

    Args:
        control: knows the live jobs, and is told why jobs are refused.
        needed: what must be free.
        found: what is free when this is made, so that the first launch need not wait for a thread.
        read: returns what is free. Blocks: called in a thread.
    """

    def __init__(
        self, control: Control, needed: Headroom, found: MachineState, read: Callable[[], MachineState]
    ) -> None:
        self._control = control
        self._needed = needed
        self._read = read
        self._limiter = trio.CapacityLimiter(1)
        self._found = found
        self._read_at = trio.current_time()
        self._is_told = False
        """Whether the last that the user was told is that nothing starts."""
        self._told_at = -math.inf

    async def admit(self, jobs: Sequence[LiveJob]) -> Sequence[LiveJob]:
        """Return those of `jobs` that may start; the others are to be refused."""
        now = trio.current_time()
        if now - self._read_at >= _AGE:
            self._read_at = now
            found = MachineState()
            with trio.move_on_after(_TIMEOUT), suppress(OSError):  # no thread can be started: the launches will tell
                found = await in_thread(self._read, limiter=self._limiter, wait_for_thread=False)
            self._found = found  # not before: another submission that comes meanwhile goes by the last reading
        why, admitted = shortage(self._needed, self._found), jobs[:0]
        if why is None:
            why = pressure(self._found)
            if why is None or not any(job.stage is LAUNCHED for job in self._control.live_jobs()):
                admitted = jobs if why is None else jobs[:1]  # others cause it, and may do so for ever
        self._note(why)
        return admitted

    def _note(self, why: str | None) -> None:
        """Tell the user when launching stops, at most every `_TELL_AGAIN`, and when it goes on after that."""
        if why is not None:
            self._control.busy_because = why
            now = trio.current_time()
            if not self._is_told and now >= self._told_at + _TELL_AGAIN:
                self._is_told, self._told_at = True, now
                logger.warning("backend %r launches nothing for now: %s", self._control.name, why)
        elif self._is_told:
            self._is_told = False
            logger.warning("backend %r launches again", self._control.name)
