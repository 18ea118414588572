"""One connection, in virtual time: slow clients, clients that do not read, and what is no HTTP."""

from __future__ import annotations

import logging
import math

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from runtime.serve.connection import (
    HEAD_TIMEOUT,
    MAX_HEAD,
    SEND_TIMEOUT,
    Application,
    Awaited,
    Message,
    Receive,
    Send,
    serve_connection,
)

GET = b"GET /path?a=b HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    assert (await receive())["body"] == b""
    body = f"{scope['method']} {scope['path']} {scope['query_string'].decode()}".encode("utf-8", "surrogateescape")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def fails(_: Message, __: Receive, ___: Send) -> None:
    raise ZeroDivisionError("SECRET")


async def fails_later(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"some", "more_body": True})
    raise ZeroDivisionError("SECRET")


def ignore(_: Awaited | None) -> None:
    """Take note of nothing."""


async def exchange(application: Application, *sent: bytes, pause: float = 0, ends: bool = True) -> bytes:
    """Send these bytes with pauses; return all that comes back until the server ends the connection."""
    client, server = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await serve_connection(application, server, ignore)
            await server.aclose()

        async def send() -> None:
            try:
                for data in sent:
                    await client.send_all(data)
                    await trio.sleep(pause)
                if ends:
                    await wait_all_tasks_blocked()
                    await client.send_eof()
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(serve)
        nursery.start_soon(send)
        received = b""
        async for data in client:
            received += data
        nursery.cancel_scope.cancel()
    return received


def bodies(received: bytes) -> list[bytes]:
    return [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK")[1:]]


async def test_requests_come_one_after_the_other_also_ahead_of_the_answers() -> None:
    received = await exchange(hello, GET + GET.replace(b"path", b"other"), GET.replace(b"path", b"third"))
    assert bodies(received) == [b"GET /path a=b", b"GET /other a=b", b"GET /third a=b"]


async def test_a_path_is_decoded_once() -> None:
    received = await exchange(hello, GET.replace(b"path", b"%2570%FF%00"))
    assert bodies(received) == [b"GET /%70\xff\0 a=b"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET http://evil.example/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello", 413),
        (b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 2 * MAX_HEAD, 431),
        (b"GET /" + b"x" * 2 * MAX_HEAD, 431),
    ],
)
async def test_what_is_no_request_for_a_page_is_refused(request_: bytes, status: int) -> None:
    received = await exchange(hello, request_ + GET, ends=False)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("pieces", [1, 5])
async def test_a_head_that_takes_long_ends_the_connection(autojump_clock: MockClock, pieces: int) -> None:
    size = len(GET) // pieces
    sent = [GET[index : index + size] for index in range(0, len(GET) - 5, size)][:pieces]
    received = await exchange(hello, *sent[:-1], b"", pause=HEAD_TIMEOUT / 4, ends=False)
    assert received == b""
    assert trio.current_time() == HEAD_TIMEOUT


async def test_a_connection_without_requests_ends(autojump_clock: MockClock) -> None:
    assert bodies(await exchange(hello, GET, ends=False)) == [b"GET /path a=b"]
    assert trio.current_time() == HEAD_TIMEOUT


async def test_a_client_that_does_not_read_is_given_up(autojump_clock: MockClock) -> None:
    sent = 0

    async def endless(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
            sent += 1

    async def wait_for_room() -> None:  # a stream in memory has room for everything, and this one for three parts
        if sent == 3:
            await trio.sleep_forever()

    client, server = memory_stream_pair()
    server.send_stream.send_all_hook = wait_for_room
    await client.send_all(GET)
    await serve_connection(endless, server, ignore)
    assert (sent, trio.current_time()) == (3, SEND_TIMEOUT)


async def test_a_client_that_has_gone_ends_its_response() -> None:
    cancelled = 0

    async def waits(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal cancelled
        await receive()
        try:
            await receive()
        except trio.Cancelled:
            cancelled += 1
            raise

    client, server = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_connection, waits, server, ignore)
        await client.send_all(GET)
        await wait_all_tasks_blocked()
        await client.aclose()
    assert cancelled == 1


async def test_a_client_that_has_gone_is_sent_no_error() -> None:
    async def waits(scope: Message, receive: Receive, send: Send) -> None:
        await trio.sleep_forever()

    assert await exchange(waits, GET) == b""


async def test_what_is_sent_ahead_has_a_limit(autojump_clock: MockClock) -> None:
    async def waits(scope: Message, receive: Receive, send: Send) -> None:
        await trio.sleep(math.inf)

    await exchange(waits, GET, *[GET * 100] * 10, ends=False)
    assert trio.current_time() == 0


async def test_a_bug_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "runtime"):
        received = await exchange(fails, GET)
        assert received.startswith(b"HTTP/1.1 500 ")
        received += await exchange(fails_later, GET)
    assert b"SECRET" not in received
    assert b"Traceback" not in received
    assert [record.getMessage() for record in caplog.records] == 2 * [
        "a bug, please report it: ZeroDivisionError: SECRET"
    ]
