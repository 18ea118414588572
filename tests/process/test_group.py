from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from runtime.process import Child, ProcessTable, spawn, sweep_group, terminate_group
from runtime.process.group import Descendants, living_groups


@pytest.fixture
def process_table() -> ProcessTable:
    return ProcessTable(trio.CapacityLimiter(1))


@asynccontextmanager
async def shell(directory: Path, script: str) -> AsyncIterator[Child]:
    """A shell that runs `script`, after that has written a line to the FIFO ``$READY``."""
    fifo = directory / "ready"
    os.mkfifo(fifo)
    null = os.open(os.devnull, os.O_RDWR)
    environment = {**os.environ, "READY": str(fifo), "DIR": str(directory)}
    child = spawn(["/bin/sh", "-c", script], env=environment, cwd=str(directory), output=null)
    os.close(null)
    try:
        with trio.fail_after(30):
            await trio.to_thread.run_sync(fifo.read_text, limiter=trio.CapacityLimiter(1))
            yield child
    finally:
        child.destroy()


async def test_a_sweep_ends_what_the_root_left_behind(tmp_path: Path, process_table: ProcessTable) -> None:
    async with shell(tmp_path, "sleep 1000 & sleep 1000 & echo > $READY; exit 5") as child:
        await child.wait_exited()
        end = await sweep_group(child, process_table, trio.CancelScope())
        assert end.left is None
        assert end.exit.code == 5
        assert child.reaped
        assert child.pid not in living_groups()


async def test_a_sweep_ends_a_root_that_runs(tmp_path: Path, process_table: ProcessTable) -> None:
    async with shell(tmp_path, "trap '' TERM INT HUP; echo > $READY; while :; do sleep 1000; done") as child:
        end = await sweep_group(child, process_table, trio.CancelScope())
        assert end.exit.signal == signal.SIGKILL
        assert child.pid not in living_groups()


async def test_all_processes_of_a_group_have_the_term_timeout(tmp_path: Path, process_table: ProcessTable) -> None:
    script = """
        sh -c 'trap "cat $DIR/go >/dev/null; echo ended > $DIR/ended; exit" TERM
               echo > $READY
               while :; do sleep 0.01; done' &
        wait"""
    os.mkfifo(tmp_path / "go")
    async with shell(tmp_path, script) as child:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminate_group, child, Descendants(child, process_table))
            while not child.has_exited():
                await trio.lowlevel.checkpoint()
            assert not (tmp_path / "ended").exists()  # the root has exited, and its child may still act on SIGTERM
            await trio.to_thread.run_sync((tmp_path / "go").write_text, "", limiter=trio.CapacityLimiter(1))
        assert (tmp_path / "ended").read_text() == "ended\n"
        assert (await sweep_group(child, process_table, trio.CancelScope())).left is None


async def test_the_term_timeout_ends_when_it_is_cancelled(tmp_path: Path, process_table: ProcessTable) -> None:
    async with shell(tmp_path, "trap '' TERM; echo > $READY; while :; do sleep 1000; done") as child:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminate_group, child, Descendants(child, process_table))
            await trio.testing.wait_all_tasks_blocked()
            assert not child.has_exited()
            nursery.cancel_scope.cancel()
        assert not child.has_exited()


async def test_a_stopped_process_gets_to_act_on_the_signal(tmp_path: Path, process_table: ProcessTable) -> None:
    script = "trap 'exit 7' TERM; echo > $READY; kill -STOP $$; while :; do sleep 0.01; done"
    async with shell(tmp_path, script) as child:
        while os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOHANG) is None:
            await trio.lowlevel.checkpoint()
        await terminate_group(child, Descendants(child, process_table))
        assert (await sweep_group(child, process_table, trio.CancelScope())).exit.code == 7


async def test_processes_that_do_not_end_are_named_at_the_deadline(
    tmp_path: Path, process_table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shell(tmp_path, "echo > $READY; exec sleep 1000") as child:
        monkeypatch.setattr(Child, "signal_group", lambda self, number: None)  # as if it were stuck in the kernel
        end = await sweep_group(child, process_table, trio.CancelScope(deadline=trio.current_time() + 0.01))
        assert end.left == [child.pid]
        assert not child.reaped
        monkeypatch.undo()


async def test_a_zombie_that_is_never_reaped_is_not_alive(tmp_path: Path, process_table: ProcessTable) -> None:
    async with shell(tmp_path, "echo > $READY; exit") as child:
        await child.wait_exited()
        assert child.group_exists()
        assert await process_table.members(child.pid) == ()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Child, "group_exists", lambda self: True)
            assert (await sweep_group(child, process_table, trio.CancelScope())).left is None


async def test_one_reading_answers_all_tasks_that_wait(
    process_table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[None] = []

    def read() -> dict[int, list[int]]:
        readings.append(None)
        return {3: [4, 5]}

    monkeypatch.setattr("runtime.process.group.living_groups", read)
    found = []

    async def ask() -> None:
        found.append(await process_table.members(3))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert found == [[4, 5]] * 50
    assert len(readings) <= 2  # perhaps one that had begun before, and one for all others
    await ask()
    assert len(readings) <= 3


def test_our_own_group_is_alive() -> None:
    assert os.getpid() in living_groups()[os.getpgrp()]
