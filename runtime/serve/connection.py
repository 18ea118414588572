"""`serve_connection`: the requests of one client, each handed to an ASGI application. Every wait has a limit.

A server of our own, since that of Hypercorn for trio (0.18) sets no limit to a client that does not read: it sends in a
shielded scope, so that one such client keeps the process from ending. Nor does it limit the number of connections. And
it offers HTTP/2 and WebSockets, which pages for reading do not need. What is hard, the parsing, is h11's.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import h11
import trio
import trio.abc

logger: Final = logging.getLogger("runtime.serve")

Message = MutableMapping[str, Any]
"""A message or a scope of ASGI, whose specification gives the types of its values."""
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_HEAD: Final = 16 << 10
"""Bytes of the first line and the headers of a request. Arbitrary, and what most servers allow."""
HEAD_TIMEOUT: Final = 10.0
"""Seconds from the end of a response, or the beginning of the connection, until the head of the next request is there.
Arbitrary: ten times longer, and slow clients hold all connections; ten times shorter cuts off slow networks."""
SEND_TIMEOUT: Final = 30.0
"""Seconds in which a client takes a part of a response. Arbitrary: a part has at most a megabyte or so; ten times
longer would hold it in memory for clients that do not read."""
_READ_SIZE: Final = 4096


class Awaited(enum.Enum):
    """What a connection waits for."""

    REQUEST = enum.auto()
    """The head of a request."""
    READER = enum.auto()
    """The client, to take a part of a response."""


async def serve_connection(
    application: Application, stream: trio.abc.Stream, waits: Callable[[Awaited | None], None]
) -> None:
    """Serve the requests of a connection, one after the other, until either side ends it. Raises no `Exception`.

    Args:
        application: answers requests. What it raises is logged, and nothing of it is sent.
        stream: the connection; it is not closed.
        waits: told what the connection waits for, from the beginning on; `None` for nothing of the client.
    """
    connection = _Connection(application, stream, waits)
    try:
        while True:
            waits(Awaited.REQUEST)
            request = await connection.next_request()
            waits(None)
            if request is None:
                return
            if not await connection.answer(request):
                return
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError) as exc:
        logger.debug("a connection has ended: %r", exc)


class _Connection:
    """The protocol of one connection."""

    def __init__(
        self, application: Application, stream: trio.abc.Stream, waits: Callable[[Awaited | None], None]
    ) -> None:
        self._application = application
        self._stream = stream
        self._waits = waits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def next_request(self) -> h11.Request | None:
        """Return the next request, which has no body; `None` if none comes, or was one that is refused."""
        with trio.move_on_after(HEAD_TIMEOUT):
            while True:
                try:
                    event = self._http.next_event()
                except h11.RemoteProtocolError as exc:
                    await self._refuse(exc.error_status_hint)
                    return None
                if event is h11.NEED_DATA:
                    self._http.receive_data(bytes(await self._stream.receive_some(_READ_SIZE)))
                elif isinstance(event, h11.Request):
                    return await self._checked(event)
                else:  # the client has closed the connection
                    return None
        return None

    async def _checked(self, request: h11.Request) -> h11.Request | None:
        """Return a request, if it is one that could be answered."""
        has_body = any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
            for name, value in request.headers
        )
        if has_body:  # no page takes one, so none is read
            await self._refuse(413)
            return None
        if not request.target.startswith(b"/"):  # that of a proxy
            await self._refuse(400)
            return None
        self._http.next_event()  # the end of the message
        return request

    async def _refuse(self, status: int) -> None:
        """Send a response without content, after which the connection ends."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = _headers([(b"content-length", b"0"), (b"connection", b"close")])
            await self.send(h11.Response(status_code=status, headers=headers, reason=_reason(status)))
            await self.send(h11.EndOfMessage())

    async def send(self, event: h11.Event) -> None:
        """Send a part of a response.

        Raises:
            OSError: if the client does not take it.
        """
        data = self._http.send(event)
        if not data:
            return
        self._waits(Awaited.READER)
        try:
            with trio.fail_after(SEND_TIMEOUT):
                await self._stream.send_all(data)
        except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ConnectionAbortedError("the client does not read") from exc
        finally:
            self._waits(None)

    async def answer(self, request: h11.Request) -> bool:
        """Answer a request; return whether the connection can have another one."""
        response = _Response(self, is_head=request.method == b"HEAD")
        early = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_client, early, nursery.cancel_scope)
            await self._call(request, response)
            nursery.cancel_scope.cancel()
        if response.has_failed and not response.has_begun:
            await self._refuse(500)
        if not response.is_whole or self._http.our_state is not h11.DONE:
            return False
        if early:
            self._http.receive_data(bytes(early))
        self._http.start_next_cycle()
        return True

    @trio.lowlevel.enable_ki_protection
    async def _watch_client(self, early: bytearray, scope: trio.CancelScope) -> None:
        """Cancel a response when its client has gone. What else it sends meanwhile is the next request."""
        try:
            while len(early) <= MAX_HEAD and (data := await self._stream.receive_some(_READ_SIZE)):
                early += data
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async def _call(self, request: h11.Request, response: _Response) -> None:
        """Call the application. A bug of it is logged, and all that the client sees is that there was one."""
        path, _, query = request.target.partition(b"?")
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": request.http_version.decode("ascii"),
            "method": request.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(path.decode("ascii"), errors="surrogateescape"),  # as names of files
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            "client": None,
            "server": None,
        }
        try:
            await self._application(scope, response.receive, response.send)
        except Exception as exc:
            if response.is_broken:
                return
            response.has_failed = True
            logger.error("a bug, please report it: %s: %s", type(exc).__name__, exc)
            logger.debug("%s", scope["path"], exc_info=True)


class _Response:
    """The response to one request, as ASGI has it."""

    def __init__(self, connection: _Connection, *, is_head: bool) -> None:
        self._connection = connection
        self._is_head = is_head
        self._asked = False
        self.has_begun = False
        self.is_whole = False
        self.has_failed = False
        """Whether the application has raised something."""
        self.is_broken = False
        """Whether the client did not take a part of it."""

    async def receive(self) -> Message:
        """Return the body of the request, which is empty; then wait: at the end of the connection this is cancelled."""
        if self._asked:
            await trio.sleep_forever()
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        """Send what a message says."""
        try:
            await self._send(message)
        except OSError:
            self.is_broken = True
            raise

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            status, headers = message["status"], _headers(message.get("headers", ()))
            await self._connection.send(h11.Response(status_code=status, headers=headers, reason=_reason(status)))
            return
        body = message.get("body", b"")
        if body and not self._is_head:
            await self._connection.send(h11.Data(data=body))
        if not message.get("more_body", False):
            await self._connection.send(h11.EndOfMessage())
            self.is_whole = True


def _reason(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode("ascii")


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response, with the date."""
    return [*headers, (b"date", formatdate(usegmt=True).encode("ascii"))]
