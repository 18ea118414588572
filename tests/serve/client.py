"""A server in this process, and clients of it that write what they like."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import attrs
import h11
import trio

from runtime.serve.access import Access
from runtime.serve.app import Application
from runtime.serve.feeds import Feeds
from runtime.serve.results import Results
from runtime.serve.server import MAX_CONNECTIONS, Server

LIMIT = 60
"""Seconds after which a test counts as hanging."""


@attrs.frozen
class Answer:
    """A response that has ended."""

    status: int
    headers: dict[str, str]
    body: str


class Client:
    """One connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def event(self) -> Any:
        """Return the next event of the protocol."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.stream.receive_some(1 << 16))
        return event

    async def ask(self, target: str, method: str = "GET", **headers: str) -> None:
        """Send a request; a header's ``_`` is a dash."""
        given = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = h11.Request(method=method, target=target, headers=list(given.items()))
        await self.stream.send_all(self._http.send(request) + self._http.send(h11.EndOfMessage()))

    async def answer(self) -> Answer:
        """Return the whole response."""
        head, body = await self.event(), b""
        while isinstance(event := await self.event(), h11.Data):
            body += event.data
        headers = {name.decode(): value.decode() for name, value in head.headers}
        return Answer(head.status_code, headers, body.decode())

    def next(self) -> None:
        """Prepare for the next request on this connection."""
        self._http.start_next_cycle()


class Snapshots:
    """The events of a run, as a viewer gets them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._rest = ""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while True:
            event, found, rest = self._rest.partition("\n\n")
            if found:
                self._rest = rest
                if "data: " in event:
                    snapshot: dict[str, Any] = json.loads(event.partition("data: ")[2])
                    return {**snapshot, "is_last": event.startswith("event: last")}
                continue
            data = await self._client.event()
            if not isinstance(data, h11.Data):
                raise StopAsyncIteration
            self._rest += data.data.decode()

    async def until(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first snapshot that is it."""
        async for snapshot in self:
            if is_it(snapshot):
                return snapshot
        raise AssertionError


class Served:
    """A directory of runs that is served."""

    def __init__(self, address: tuple[str, int], feeds: Feeds, server: Server) -> None:
        self._address = address
        self.feeds = feeds
        self.server = server

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await trio.open_tcp_stream(*self._address) as stream:
            yield Client(stream)

    async def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        async with self.client() as client:
            await client.ask(target, method, **headers)
            return await client.answer()

    @asynccontextmanager
    async def view(self, run: str) -> AsyncIterator[Snapshots]:
        async with self.client() as client:
            await client.ask(f"/runs/{run}/events")
            head = await client.event()
            assert head.status_code == 200
            yield Snapshots(client)


@asynccontextmanager
async def served(out: Path, *, token: str | None = None, most: int = MAX_CONNECTIONS) -> AsyncIterator[Served]:
    """Serve a directory of runs for a block."""
    results = Results(out)
    try:
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                feeds = Feeds(nursery)
                server = Server(Access(Application(results, feeds).asgi(), token), most)
                listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                nursery.start_soon(server.run, listeners)
                yield Served(listeners[0].socket.getsockname(), feeds, server)
                nursery.cancel_scope.cancel()
    finally:
        results.close()
