"""Which requests are answered: by method, host and token."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import trio

from runtime.serve.access import TOKEN, is_local_host
from tests.cli.past_run import NAME, write_run
from tests.report.results import result
from tests.serve.client import served

SECRET = "0123456789abcdef0123"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "localhost.:1", "127.0.0.1", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000"]
)
def test_names_of_this_machine_are_local(host: str) -> None:
    assert is_local_host([host])


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.example"],
        ["127.0.0.1.evil.example"],
        ["localhost.evil.example"],
        ["evil.example:8000"],
        ["localhost", "evil.example"],
        ["localhost@evil.example"],
        ["localhost:80:80"],
        ["localhost/"],
        ["192.168.0.1"],
        ["[::2]"],
        ["0.0.0.0"],
        ["0x7f.1"],
        ["localhost:" + "8" * 9999],
    ],
)
def test_other_names_are_not(hosts: list[str]) -> None:
    assert not is_local_host(hosts)


async def test_a_page_elsewhere_whose_name_leads_here_gets_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, [result()])
    async with served(tmp_path) as site:
        answer = await site.get("/", host="evil.example:8000")
    assert answer.status == 421
    assert NAME not in answer.body


@pytest.mark.parametrize(
    ("site", "dest", "status"),
    [
        ("cross-site", "image", 403),
        ("cross-site", "iframe", 403),
        ("cross-site", "", 403),
        ("cross-site", "document", 200),
        ("same-origin", "empty", 200),
        ("none", "document", 200),
    ],
)
async def test_a_page_of_another_site_leads_here_and_embeds_nothing(
    tmp_path: Path, site: str, dest: str, status: int
) -> None:
    write_run(tmp_path, [result()])
    async with served(tmp_path) as server:
        answer = await server.get("/", sec_fetch_site=site, sec_fetch_dest=dest)
    assert (answer.status, NAME in answer.body) == (status, status == 200)


async def test_a_token_is_asked_for_and_then_in_a_cookie(tmp_path: Path) -> None:
    write_run(tmp_path, [result()])
    async with served(tmp_path, token=SECRET) as site:
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"cookie": "job-runtime=wrong"},
            {"cookie": "=;\t=\x01;"},
        ):
            answer = await site.get("/", host="machine.example", **headers)
            assert (answer.status, NAME in answer.body) == (401, False)
        for target in ("/?token=wrong", f"/?tokem={SECRET}", "/?" + "&" * 9999):
            assert (await site.get(target, host="machine.example")).status == 401
        moved = await site.get(f"/runs/{NAME}/jobs?q=a%26b&token={SECRET}")
        assert (moved.status, moved.headers["location"]) == (303, f"/runs/{NAME}/jobs?q=a%26b")
        cookie, _, attributes = moved.headers["set-cookie"].partition("; ")
        assert attributes == "Path=/; HttpOnly; SameSite=Lax"
        assert (await site.get("/", host="machine.example", cookie=f"a=b; {cookie}")).status == 200
        assert (await site.get("/", authorization=f"Bearer {SECRET}")).status == 200
        again = await site.get(f"/?token={SECRET}", cookie=cookie)
        assert (again.status, again.headers["location"]) == (303, "/")


@pytest.mark.parametrize("other", ['a={"b": "c"}', "a b=c", "a@b=c", "a;;b", 'a="', 'job-runtime="', "=;"])
async def test_cookies_of_other_servers_of_the_host_do_not_matter(tmp_path: Path, other: str) -> None:
    async with served(tmp_path, token=SECRET) as site:
        for cookie in (f"{other}; job-runtime={SECRET}", f"job-runtime={SECRET}; {other}"):
            assert (await site.get("/", cookie=cookie)).status == 200


async def test_who_is_refused_cannot_hold_a_connection(tmp_path: Path) -> None:
    async with served(tmp_path, token=SECRET) as site, site.client() as client:
        await client.stream.send_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2)
        received = b""
        with suppress(trio.BrokenResourceError):  # the system tells that the second one was not read
            while data := await client.stream.receive_some(1 << 16):
                received += data
    assert received.count(b"HTTP/1.1 401 ") == 1


@pytest.mark.parametrize("path", ["//evil.example", "/%5Cevil.example", "/\\evil.example", "/%2F%2Fevil.example"])
async def test_the_token_leads_nowhere_else(tmp_path: Path, path: str) -> None:
    async with served(tmp_path, token=SECRET) as site:
        answer = await site.get(f"{path}?token={SECRET}")
    assert answer.status == 303
    assert answer.headers["location"] == "/evil.example"


@pytest.mark.parametrize(
    ("token", "is_one"), [(SECRET, True), ("short", False), (SECRET + ";", False), ("é" * 20, False)]
)
def test_what_a_token_may_be(token: str, is_one: bool) -> None:
    assert bool(TOKEN.fullmatch(token)) is is_one
