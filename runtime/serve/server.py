"""`Server`: accepts connections, and limits how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from runtime.serve.connection import Application, serve_connection

MAX_CONNECTIONS: Final = 256
"""Connections at a time. Arbitrary: each of 50 viewers has two or three; ten times more would need more descriptors
than most systems allow, ten times fewer would refuse viewers."""
_SEND_BUFFER: Final = 256 << 10
"""Bytes that the system keeps for a client that is slow to read. Arbitrary: some snapshots of a run."""
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 5\r\n\r\n"


class Server:
    """Serves an ASGI application over HTTP/1.1.

    Args:
        application: answers requests.
        most: connections at a time. When another one comes, that which has waited longest for a request ends; if none
            waits, the new one is refused.
    """

    def __init__(self, application: Application, most: int = MAX_CONNECTIONS) -> None:
        self._application = application
        self._most = most
        self.connections: int = 0
        """How many there are."""
        self._waiting: dict[trio.CancelScope, None] = {}
        """Those that wait for a request, in the order in which they began to."""

    async def run(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Serve until it is cancelled, which is prompt."""
        await trio.serve_listeners(self._serve, list(listeners))

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(OSError):  # a system may refuse the size; or the client has gone
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, _SEND_BUFFER)
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
                self._waiting.pop(scope, None)

    def _end_one(self) -> bool:
        """End the connection that has waited longest for a request; return whether there was one."""
        scope = next(iter(self._waiting), None)
        if scope is None:
            return False
        del self._waiting[scope]
        scope.cancel()
        return True

    def _note_waits(self, scope: trio.CancelScope, waits: bool) -> None:
        self._waiting.pop(scope, None)
        if waits:
            self._waiting[scope] = None
