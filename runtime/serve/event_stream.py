"""`EventStream`: the snapshots of a run, as server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runtime.serve.feeds import Feed

HEARTBEAT: Final = 15.0
"""Seconds after which a comment is sent if there was no event, so that a viewer that is gone is noticed, and no proxy
ends the connection. Arbitrary: proxies end it after a minute or so."""
_RETRY: Final = 2000
"""Milliseconds after which a browser tries again when a stream has broken. Arbitrary: ten times longer looks dead, ten
times shorter would make all viewers of a server that has ended try it five times a second."""


class EventStream(Response):
    """A response that sends snapshots until the run has ended, or the client has gone.

    Args:
        look: follows the run.
    """

    def __init__(self, look: Callable[[], AbstractAsyncContextManager[Feed]]) -> None:
        super().__init__(media_type="text/event-stream")
        self._look = look

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        async with self._look() as feed:
            version, snapshot = await feed.next(0)  # this and `look` raise before anything is sent
            headers = [item for item in self.raw_headers if item[0] != b"content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await _send(send, b"retry: %d\n\n" % _RETRY + _event(version, snapshot))
            while version >= 0 and scope["method"] != "HEAD":  # which has no content to wait for
                body = b": nothing new\n\n"
                with trio.move_on_after(HEARTBEAT):
                    version, snapshot = await feed.next(version)
                    body = _event(version, snapshot)
                await _send(send, body)
            await send({"type": "http.response.body", "body": b""})


def _event(version: int, snapshot: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (b"last" if version < 0 else b"message", snapshot)


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
