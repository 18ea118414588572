"""`Server`: accepts connections, and limits how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import trio
import trio.abc

from runtime.serve.connection import Application, Awaited, serve_connection

MAX_CONNECTIONS: Final = 256
"""Connections at a time. Arbitrary: each of 50 viewers has two or three; ten times more would need more descriptors
than most systems allow, ten times fewer would refuse viewers."""
SLOW: Final = 1.0
"""Seconds for which a client has not taken a part of a response, from which on it makes room for another one.
Arbitrary: ten times longer, slow clients keep others out for that long; ten times shorter ends those of a busy
network."""
_SEND_BUFFER: Final = 256 << 10
"""Bytes that the system keeps for a client that is slow to read. Arbitrary: some snapshots of a run."""
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 5\r\n\r\n"


class Server:
    """Serves an ASGI application over HTTP/1.1.

    Args:
        application: answers requests.
        most: connections at a time. When another one comes, that which has waited longest for a request ends; if none
            waits for one, that which has waited longest for its client to read, if that is `SLOW`; else the new one is
            refused.
    """

    def __init__(self, application: Application, most: int = MAX_CONNECTIONS) -> None:
        self._application = application
        self._most = most
        self.connections: int = 0
        """How many there are."""
        self._waiting: dict[Awaited, dict[trio.CancelScope, float]] = {each: {} for each in Awaited}
        """Those that wait, with the times at which they began to, in that order."""

    async def run(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Serve until it is cancelled, which is prompt."""
        for listener in listeners:
            with suppress(OSError):  # a system may refuse the size, which connections take over
                listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, _SEND_BUFFER)
        await trio.serve_listeners(self.serve, list(listeners))

    @trio.lowlevel.enable_ki_protection
    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection, and close it."""
        async with stream:
            if self.connections >= self._most and not self._end_one():
                with suppress(trio.BrokenResourceError), trio.move_on_after(1):
                    await stream.send_all(_BUSY)
                return
            self.connections += 1
            try:
                with trio.CancelScope() as scope:
                    await serve_connection(self._application, stream, partial(self._note_waits, scope))
            finally:
                self.connections -= 1
                self._note_waits(scope, None)

    def _end_one(self) -> bool:
        """End the connection that matters least; return whether there was one that may be ended."""
        requests, readers = self._waiting[Awaited.REQUEST], self._waiting[Awaited.READER]
        slow = (scope for scope, since in readers.items() if since <= trio.current_time() - SLOW)
        scope = next(iter(requests), None) or next(slow, None)
        if scope is None:
            return False
        self._note_waits(scope, None)
        scope.cancel()
        return True

    def _note_waits(self, scope: trio.CancelScope, awaited: Awaited | None) -> None:
        for waiting in self._waiting.values():
            waiting.pop(scope, None)
        if awaited is not None:
            self._waiting[awaited][scope] = trio.current_time()
