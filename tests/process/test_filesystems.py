"""Calls for a file system that does not answer wait without threads, and hold up no others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio

from runtime.process import Work, batched_calls, each_in_thread, filesystems, in_thread, threads
from runtime.process.filesystems import device_of, mounted
from tests.process.test_threads import Door, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (filesystems, threads, batched_calls):
        monkeypatch.setattr(module, "STALLED", 0.02)


@pytest.fixture
def _mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, "mounted", lambda: {"/": "0:1", "/silent": "0:2"})


def test_a_path_is_on_the_device_of_the_nearest_mount_point_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        "22 21 0:9 / /a\\040disk rw shared:5 - nfs server:/ rw\n"
        "23 22 0:10 / /a\\040disk/b rw - fuse x rw\n"
        "24 22 0:11 / /a\\040disk/b rw - fuse y rw\n"
    )
    monkeypatch.setattr(filesystems, "_TABLE", str(table))
    mounts = mounted()
    paths = {"/": "8:1", "/a": "8:1", "/a disk": "0:9", "/a disk/bc": "0:9", "/a disk/b/c/d": "0:11", "relative": "8:1"}
    assert {path: device_of(path, mounts) for path in paths} == paths
    monkeypatch.setattr(filesystems, "_TABLE", str(tmp_path / "gone"))
    assert mounted() == {}
    assert device_of("/a", {}) is None


def test_the_table_of_this_system_can_be_read() -> None:
    assert device_of("/proc/self", mounted()) != device_of("/", mounted())


@pytest.mark.usefixtures("_mounts")
async def test_calls_for_a_silent_file_system_have_few_threads_and_hold_up_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filesystems, "MOST_STALLED", 3)
    limiter, door = trio.CapacityLimiter(2), Door()
    async with trio.open_nursery() as nursery:
        for number in range(20):
            paths = [f"/silent/{number}"]
            nursery.start_soon(partial(in_thread, door.pass_through, limiter=limiter, paths=partial(list, paths)))
        with trio.fail_after(60):
            await in_thread(int, limiter=limiter, paths=lambda: ("/elsewhere",))
        await until(lambda: door.waiting > 2)  # one more was made as a probe
        with trio.fail_after(60):
            for _ in range(10):
                await in_thread(int, limiter=limiter)
                await trio.sleep(filesystems.STALLED)  # time in which more of them could begin
        assert door.waiting <= 2 + 3
        door.opened.set()
    assert door.waiting == 20
    await until(lambda: limiter.total_tokens == 2)


@pytest.mark.usefixtures("_mounts")
async def test_they_are_tried_one_by_one_and_go_on_together_when_one_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a single file that is stuck."""
    limiter, stuck, later = trio.CapacityLimiter(1), Door(), Door()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(in_thread, stuck.pass_through, limiter=limiter, paths=lambda: ("/silent/stuck",)))
        await until(lambda: stuck.waiting == 1)
        async with trio.open_nursery() as others:
            for _ in range(5):
                call = partial(in_thread, later.pass_through, limiter=limiter, paths=lambda: ("/silent/other",))
                others.start_soon(call)
            await until(lambda: later.waiting >= 1)
            monkeypatch.setattr(filesystems, "STALLED", 60)  # no other probe is due
            with trio.fail_after(30):
                later.opened.set()
                await until(lambda: later.waiting == 5)
        assert later.waiting == 5
        stuck.opened.set()
    await until(lambda: limiter.total_tokens == 1)


@pytest.mark.usefixtures("_mounts")
async def test_calls_that_share_a_thread_are_deferred_one_by_one() -> None:
    limiter, door, returned = trio.CapacityLimiter(1), Door(), list[str]()

    def function(item: str) -> str:
        if item.startswith("/silent"):
            door.pass_through()
        return item

    def done(results: Sequence[tuple[str, str]]) -> None:
        returned.extend(result for _, result in results)

    silent = [f"/silent/{number}" for number in range(10)]
    others = [f"/other/{number}" for number in range(10)]
    calls = Work(
        function, [each for pair in zip(silent, others, strict=True) for each in pair], paths=lambda item: (item,)
    )
    async with trio.open_nursery() as nursery:
        with trio.fail_after(60):
            await each_in_thread(calls, limiter=limiter, nursery=nursery, done=done)
        assert sorted(returned) == others
        assert door.waiting < 5
        door.opened.set()
    assert sorted(returned) == sorted(others + silent)
    assert calls.left() == []


@pytest.mark.usefixtures("_mounts")
async def test_a_call_that_waits_to_probe_can_be_cancelled() -> None:
    limiter, door = trio.CapacityLimiter(1), Door()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(in_thread, door.pass_through, limiter=limiter, paths=lambda: ("/silent/a",)))
        await until(lambda: door.waiting == 1)
        with trio.move_on_after(0.1) as scope:
            async with trio.open_nursery() as others:
                for _ in range(50):
                    others.start_soon(
                        partial(in_thread, door.pass_through, limiter=limiter, paths=lambda: ("/silent/b",))
                    )
        assert scope.cancelled_caught
        door.opened.set()
    with trio.fail_after(60):
        await in_thread(int, limiter=limiter, paths=lambda: ("/silent/c",))
