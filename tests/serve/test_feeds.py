"""Runs that are followed while somebody looks: once for all viewers, from the first to the last."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing

from runtime.job import FailureKind, JobSpec
from runtime.journal import Record, encode, to_text
from runtime.journal.follower import Follower
from runtime.journal.records import Ended
from runtime.serve import feeds
from runtime.serve.feeds import Feed, Feeds, UnavailableError
from runtime.serve.results import Results
from runtime.serve.snapshot import RunView
from tests.cli.past_run import NAME, held, write_journal, write_run
from tests.report.results import result
from tests.report.states import records
from tests.serve.client import served


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "INTERVAL", 0.0)


def append(run_dir: Path, written: Sequence[Record]) -> None:
    with (run_dir / "journal.jsonl").open("ab") as file:
        file.write(b"".join(encode(to_text(record)) for record in written))


def parts(run_dir: Path) -> tuple[list[Record], list[Record]]:
    """Return the records of a run up to a failure, and those behind it."""
    jobs = [result("bad", FailureKind.EXIT_CODE, "exit code 7"), result("good")]
    whole = records(jobs, run_dir)
    (at,) = [index for index, record in enumerate(whole) if type(record).__name__ == "Ended"]
    return whole[:at], whole[at:]


async def test_a_viewer_sees_a_run_go_on_and_end(tmp_path: Path) -> None:
    run_dir = tmp_path / NAME
    first, second = parts(run_dir)
    write_journal(run_dir, first)
    async with served(tmp_path) as site:
        with held(run_dir):
            async with site.view(NAME) as snapshots:
                shown = await anext(snapshots)
                assert (shown["state"], shown["done"], shown["total"]) == ("running", 0, 2)
                append(run_dir, second[:-1])
                shown = await snapshots.until(lambda snapshot: snapshot["done"] == 2)
                assert [failure["id"] for failure in shown["failures"]] == ["bad"]
                assert [(bucket["count"], bucket["message"]) for bucket in shown["buckets"]] == [(1, "exit code <n>")]
                append(run_dir, second[-1:])
                shown = await snapshots.until(lambda snapshot: snapshot["is_last"])
                assert (shown["state"], shown["counts"]["passed"], shown["counts"]["failed"]) == ("ended", 1, 1)
                assert [snapshot async for snapshot in snapshots] == []


async def test_all_viewers_share_one_reader(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, [result()], ended=None, more=[JobSpec(name="late", cmd="true")])
    async with served(tmp_path) as site:
        with held(run_dir):
            async with site.view(NAME) as one, site.view(NAME) as other, site.view("latest") as third:
                for view in (one, other, third):
                    await anext(view)
                assert len(site.feeds) == 1


async def test_the_last_viewer_ends_it_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LINGER", 0.01)
    run_dir = write_run(tmp_path, [result()], ended=None, more=[JobSpec(name="late", cmd="true")])
    async with served(tmp_path) as site:
        with held(run_dir):
            async with site.view(NAME) as view:
                await anext(view)
                assert len(site.feeds) == 1
            while len(site.feeds):
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def looked_at(directory: Path) -> AsyncIterator[tuple[Feed, Callable[[], None]]]:
    """The feed of a run that goes on, with a viewer; and what writes the rest of its journal."""
    run_dir = directory / NAME
    first, second = parts(run_dir)
    write_journal(run_dir, first)
    results = Results(directory)
    found = results.find(NAME)
    assert found is not None
    with trio.fail_after(60), held(run_dir):
        async with trio.open_nursery() as nursery:
            async with Feeds(nursery).look(NAME, found) as feed:
                yield feed, lambda: append(run_dir, second)
            nursery.cancel_scope.cancel()
    results.close()


async def test_a_viewer_that_does_not_read_gets_the_newest_snapshot_only(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as (feed, write_rest):
        version, _ = await feed.next(0)
        write_rest()
        while not version < 0:
            before = version
            version, newest = await feed.next(before)
        again, same = await feed.next(before)
        assert (again, same) == (-1, newest)


async def test_the_snapshot_that_is_said_to_be_the_last_one_has_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "INTERVAL", 0.3)  # in which the end is known, and is in no snapshot yet
    async with looked_at(tmp_path) as (feed, write_rest):
        version, snapshot = await feed.next(0)
        write_rest()
        while feed.is_live:
            await trio.lowlevel.checkpoint()
            version, snapshot = await feed.next(0)
        while version > 0:
            version, snapshot = await feed.next(version)
        assert json.loads(snapshot)["state"] == "ended"


async def test_there_is_a_limit_and_runs_that_nobody_looks_at_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MAX_FEEDS", 2)
    for name in "abc":
        write_run(tmp_path, [result()], name=name)
    results = Results(tmp_path)
    found = {name: results.find(name) for name in "abc"}
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            table = Feeds(nursery)
            a, b, c = (directory for directory in found.values() if directory is not None)
            async with table.look("a", a):
                async with table.look("b", b):
                    with pytest.raises(UnavailableError, match="2 runs are being looked at"):
                        async with table.look("c", c):
                            raise AssertionError
                async with table.look("c", c):
                    assert len(table) == 2
            nursery.cancel_scope.cancel()
    results.close()


async def test_a_journal_that_breaks_off_is_said_to(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, [result()], ended=None)
    with (run_dir / "journal.jsonl").open("ab") as file:
        file.write(b"nonsense\n")
    async with served(tmp_path) as site, site.view(NAME) as view:
        assert (await view.until(lambda snapshot: snapshot["is_last"]))["state"] == "died"


async def test_a_run_that_makes_room_for_another_one_is_held_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MAX_FEEDS", 1)
    monkeypatch.setattr(feeds, "LINGER", 3600.0)
    for name in "ab":
        write_run(tmp_path, [result()], name=name)
    results = Results(tmp_path)
    a, b = results.find("a"), results.find("b")
    assert a is not None
    assert b is not None
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            table = Feeds(nursery)
            async with table.look("a", a):
                tasks = len(nursery.child_tasks)
            async with table.look("b", b):
                await trio.testing.wait_all_tasks_blocked()
                assert len(nursery.child_tasks) == tasks
            nursery.cancel_scope.cancel()
    results.close()


async def test_a_run_of_which_no_page_can_be_made_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(view: RunView, now: float, *, is_live: bool, note: str = "") -> bytes:
        raise IndexError

    monkeypatch.setattr(RunView, "snapshot", snapshot)
    write_run(tmp_path, [result()])
    async with served(tmp_path) as site:
        answer = await site.get(f"/runs/{NAME}/events")
        assert (answer.status, "its journal cannot be understood" in answer.body) == (503, True)
        assert (await site.get("/")).status == 200


async def test_a_request_for_the_headers_of_events_ends_although_the_run_goes_on(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, [result()], ended=None, more=[JobSpec(name="late", cmd="true")])
    async with served(tmp_path) as site:
        with held(run_dir):
            async with site.client() as client:
                await client.stream.send_all(
                    f"HEAD /runs/{NAME}/events HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
                    + b"GET /runs/none HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
                )
                received = b"".join([data async for data in client.stream])
    assert (received.count(b"HTTP/1.1 200 "), received.count(b"HTTP/1.1 404 ")) == (1, 1)


async def test_a_long_journal_is_shown_before_it_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "FIRST_LOOK", 0.0)
    run_dir = tmp_path / NAME
    first, second = parts(run_dir)
    write_journal(run_dir, first)
    gate = trio.Event()

    class Slow(Follower):
        async def __anext__(self) -> Record:
            record = await super().__anext__()
            if isinstance(record, Ended):
                await gate.wait()
            return record

    monkeypatch.setattr(feeds, "follow", lambda directory: Slow(directory, 0.01, lambda: True))
    append(run_dir, second[:-1])
    results = Results(tmp_path)
    found = results.find(NAME)
    assert found is not None
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            async with Feeds(nursery).look(NAME, found, is_whole=False) as feed:
                version, shown = 0, {"total": 0}
                while shown["total"] < 2:
                    version, snapshot = await feed.next(version)
                    shown = json.loads(snapshot)
                    assert "being read" in shown["note"]
                assert shown["done"] == 0
                gate.set()
                while shown["note"]:
                    version, snapshot = await feed.next(version)
                    shown = json.loads(snapshot)
                assert (shown["done"], shown["total"]) == (2, 2)
            nursery.cancel_scope.cancel()
    results.close()
