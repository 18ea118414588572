"""How many connections there are at a time, and which one makes room."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.abc
import trio.lowlevel
import trio.testing

from runtime.serve.connection import Message, Receive, Send
from runtime.serve.server import SLOW, Server
from tests.cli.past_run import NAME, held, write_run
from tests.report.results import result
from tests.serve.client import served


async def test_a_connection_without_a_request_makes_room(tmp_path: Path) -> None:
    write_run(tmp_path, [result()])
    async with served(tmp_path, most=2) as site:
        async with site.client() as first, site.client() as second:
            await first.stream.send_all(b"GET / HTTP/1.1\r\n")
            await second.ask("/")
            assert (await second.answer()).status == 200
            assert (await site.get("/")).status == 200
            assert await first.stream.receive_some() == b""
            assert site.server.connections <= 2


async def test_where_all_are_answered_the_next_one_is_refused(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, [result()], ended=None)
    async with served(tmp_path, most=2) as site:
        with held(run_dir):
            async with site.view(NAME) as first, site.view(NAME) as second:
                await anext(first)
                await anext(second)
                assert (await site.get("/")).status == 503
                assert site.server.connections == 2
        while site.server.connections:
            await trio.lowlevel.checkpoint()


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Connections in memory."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](0)

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    async def connect(self) -> trio.abc.Stream:
        """Return the client's end of a new connection, which holds what is sent until it is read."""
        client, server = trio.testing.lockstep_stream_pair()
        await self._send.send(server)
        return client

    async def ask(self) -> trio.abc.Stream:
        """Send a request; return the client's end of its connection."""
        client = await self.connect()
        await client.send_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        return client


async def answer(_scope: Message, _receive: Receive, send: Send) -> None:
    """Answer any request."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"text"})


async def test_clients_that_do_not_read_make_room(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    listener, server = Listener(), Server(answer, most=2)
    nursery.start_soon(trio.serve_listeners, server.serve, [listener])
    slow = [await listener.ask() for _ in range(2)]
    await trio.testing.wait_all_tasks_blocked()
    refused = await listener.connect()
    assert (await refused.receive_some()).startswith(b"HTTP/1.1 503")
    await trio.sleep(SLOW)
    served = await listener.ask()
    assert (await served.receive_some()).startswith(b"HTTP/1.1 200")
    for client, body in zip(slow, (b"", b"text"), strict=True):  # the one that has waited longest made room
        await client.receive_some()
        assert await client.receive_some() == body
    nursery.cancel_scope.cancel()
