"""`Heartbeat`: what a supervisor says of itself: that it runs, and that it did not run for a while."""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from runtime.helper.wire import pack
from runtime.process.guard.messages import PING

logger: Final = logging.getLogger("runtime.process.supervisor")

_HEARTBEAT_INTERVAL: Final = 2.0
"""Seconds between two pings of the supervisor. Arbitrary: only the delay of an error message depends on it."""

_MISSED_PINGS: Final = 3
"""Unanswered pings after which the supervisor is reported as not running. Arbitrary: with one, a short load of the
machine would be reported."""

_FLUSH: Final = -1
"""The number of a ping whose answer `flush` waits for. Others have positive numbers."""

_FLUSH_TIMEOUT: Final = 2.0
"""Seconds that such an answer may take. Arbitrary: a time limit is enforced later by as much if the supervisor has
died."""


class Heartbeat:
    """Pings a supervisor, and has its reports of standstills.

    Args:
        control: the socket on which the supervisor takes commands.
        pid: of the supervisor, for a message.
    """

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control = control
        self._pid = pid
        self._answered = 0
        """The number of the last ping that was answered."""
        self._flushed = trio.Event()
        self.note_standstill: Callable[[float, float], object] | None = None
        """Called with begin and end of a time in which the supervisor did not run, seconds of `time.monotonic`."""

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Ping the supervisor, and log an error if it does not answer: it is alive, but does not guard its shims."""
        # Unanswered pings are counted, not seconds: it may be this event loop that was held up.
        for ping in itertools.count(1):
            with suppress(OSError):
                self._control.send(pack(PING, ping))
            await trio.sleep(_HEARTBEAT_INTERVAL)
            unanswered = ping - self._answered
            if unanswered >= _MISSED_PINGS:
                seconds = unanswered * _HEARTBEAT_INTERVAL
                logger.error("the supervisor of processes (pid %d) has not answered for %g s", self._pid, seconds)

    def note_pong(self, ping: int) -> None:
        """It has answered a ping."""
        if ping == _FLUSH:
            self._flushed.set()
        else:
            self._answered = ping

    async def flush(self) -> None:
        """Wait until all answers that it has sent so far are handled, for at most `_FLUSH_TIMEOUT` seconds."""
        self._flushed = trio.Event()
        with suppress(OSError):
            # Fails if the supervisor has died or does not read: then the timeout ends the wait.
            self._control.send(pack(PING, _FLUSH))
        with trio.move_on_after(_FLUSH_TIMEOUT):
            await self._flushed.wait()
