"""How many connections there are at a time, and which one makes room."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.lowlevel

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
