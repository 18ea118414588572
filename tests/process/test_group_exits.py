"""`GroupExits`: the ends of many process groups, in one task."""

from __future__ import annotations

import errno
import math
import os
import select
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
import trio

from runtime.process import GroupTree, ProcessTable, StopSteps, TreeEnd, group_exits, spawn
from runtime.process.group import living_groups
from runtime.process.group_exits import GroupExits
from runtime.roots import RootedPath, Roots

LASTING: Final = "exec sleep 1000"
STEPS: Final = StopSteps(term_timeout=None, kill_timeout=None)


class Groups:
    """Starts groups whose ends are announced."""

    def __init__(self, roots: Roots, nursery: trio.Nursery) -> None:
        self.roots = roots
        self.nursery = nursery
        self.exits = GroupExits(trio.CapacityLimiter(4))
        self.send, self.receive = trio.open_memory_channel[tuple[str, TreeEnd]](math.inf)
        self.handed_over: list[str] = []
        self._table = ProcessTable(trio.CapacityLimiter(1))

    def start(
        self, name: str, script: str, *, leftover_timeout: float = 0.0, log: RootedPath | None = None
    ) -> GroupTree:
        """Start a shell with a log, which is called `name`."""
        path = self.roots.resolve(f"{self.roots.run_dir}/{name}")
        output = path.create(0o666)
        child = spawn(["/bin/sh", "-c", script], env=dict(os.environ), cwd="/", output=output)
        os.close(output)
        tree = GroupTree(child, self._table, None, trio.CapacityLimiter(1), leftover_timeout, self.exits, log or path)
        tree.announce_end(self.send, name, lambda: self.handed_over.append(name))
        return tree

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def groups(directory: Path) -> AsyncIterator[Groups]:
    roots = Roots(str(directory))
    roots.open()
    try:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                made = Groups(roots, nursery)
                nursery.start_soon(made.exits.run)
                yield made
                nursery.cancel_scope.cancel()
    finally:
        roots.close()


async def test_the_ends_come_with_the_exits_and_the_logs(tmp_path: Path) -> None:
    async with groups(tmp_path) as it:
        trees = {str(code): it.start(str(code), f"echo this is {code}; exit {code}") for code in range(20)}
        ends = dict([await it.receive.receive() for _ in trees])
    assert {name: end.exit.code for name, end in ends.items()} == {name: int(name) for name in trees}
    assert {name: end.log for name, end in ends.items()} == {name: b"this is %s\n" % name.encode() for name in trees}
    assert it.handed_over == []
    assert all(tree.child.reaped and tree.child.fileno() < 0 for tree in trees.values())


async def test_a_group_that_outlives_its_root_is_handed_over(tmp_path: Path) -> None:
    async with groups(tmp_path) as it:
        tree = it.start("job", "sleep 1000 & exit 3", leftover_timeout=1000)
        await it.until(lambda: it.handed_over == ["job"])
        tree.child.kill_rest()
        end = await tree.wait_ended()
    assert end.exit.code == 3
    assert it.receive.statistics().current_buffer_used == 0


async def test_a_group_that_cannot_be_watched_is_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptor() -> select.epoll:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with groups(tmp_path) as it:
        with monkeypatch.context() as patch:
            patch.setattr(group_exits, "select", SimpleNamespace(epoll=no_descriptor))
            tree = it.start("first", "exit 3")
        assert it.handed_over == ["first"]
        assert (await tree.wait_ended()).exit.code == 3
        it.start("second", "exit 4")
        name, end = await it.receive.receive()
    assert (name, end.exit.code) == ("second", 4)


async def test_a_group_that_is_to_be_stopped_is_handed_over_at_once(tmp_path: Path) -> None:
    async with groups(tmp_path) as it:
        tree = it.start("job", LASTING)
        tree.stop(STEPS)
        assert it.handed_over == ["job"]
        tree.stop(STEPS)
        assert it.handed_over == ["job"]
        assert (await tree.wait_ended()).stopped
        tree.announce_end(it.send, "again", lambda: it.handed_over.append("again"))
        assert it.handed_over == ["job", "again"]


async def test_groups_that_run_when_it_is_cancelled_are_killed(tmp_path: Path) -> None:
    async with groups(tmp_path) as it:
        before = it.start("before", LASTING)
        it.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), trio.fail_after(20):
            await it.until(lambda: before.child.fileno() < 0)
            after = it.start("after", LASTING)
            await it.until(lambda: not {before.pid, after.pid} & living_groups().keys())
    assert it.handed_over == []


async def test_a_log_that_cannot_be_read_does_not_hold_the_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "planted")
    async with groups(tmp_path) as it:
        it.start("job", "exit 4", log=it.roots.resolve(str(tmp_path / "planted")))
        _, end = await it.receive.receive()
    assert (end.exit.code, end.log) == (4, None)


class SilentLog(RootedPath):
    """A log in a file system that does not answer."""

    def __init__(self, path: RootedPath) -> None:
        super().__init__(path.root, path.relative, str(path))
        self.answers = threading.Event()

    def open_regular(self) -> int:
        self.answers.wait(60)
        return super().open_regular()


async def test_a_file_system_that_does_not_answer_holds_no_end(tmp_path: Path) -> None:
    (tmp_path / "silent").touch()
    async with groups(tmp_path) as it:
        log = SilentLog(it.roots.resolve(str(tmp_path / "silent")))
        it.start("stuck", "exit 5", log=log)
        name, end = await it.receive.receive()
        assert (name, end.exit.code, end.log) == ("stuck", 5, None)
        it.start("other", "exit 6")
        _, end = await it.receive.receive()
        assert end.exit.code == 6
        log.answers.set()
    assert it.receive.statistics().current_buffer_used == 0
