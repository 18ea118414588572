from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from runtime.process import keeper
from runtime.process.keeper import Keeper, Keepers
from runtime.process.keeper_program import parent_of


def test_without_an_interpreter_there_is_no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(OSError, match=r"the path of the Python interpreter is not known"):
        Keeper.start({}, patience=1)


@pytest.mark.parametrize(("script", "words"), [("exit 1", "it said nothing"), ("echo broken >&2", "broken")])
def test_a_keeper_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(OSError, match=f"the keeper of processes did not start: {words}"):
        Keeper.start({}, patience=1)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_shim_that_was_asked_for_in_vain_is_used_later() -> None:
    before = len(os.listdir("/proc/self/fd"))
    keepers = Keepers({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        await keepers.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keepers.run)
            with trio.move_on_after(0):
                await keepers.current.take(1)
            (shim,), _ = await keepers.take(1)
            while len(keepers.current.shims) < 2 or None in [one.pid for one in keepers.current.shims]:
                await trio.lowlevel.checkpoint()
            (other,), _ = await keepers.take(1)
            assert {shim, other} == set(keepers.current.shims)
            shim.give_back()
            assert await keepers.take(1) == ([shim], None)
            nursery.cancel_scope.cancel()
        await keepers.aclose()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_answers_may_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_BATCH", 7)
    keepers = Keepers({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        await keepers.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keepers.run)
            shims, error = await keepers.take(3)
            assert error is None
            assert [parent_of(shim.pid or 0) for shim in shims] == 3 * [keepers.current.pid]
            nursery.cancel_scope.cancel()
        await keepers.aclose()


async def test_a_keeper_ends_with_its_shims() -> None:
    keepers = Keepers({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        await keepers.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keepers.run)
            shims = [os.pidfd_open(shim.pid or 0) for shim in (await keepers.take(3))[0]]
            nursery.cancel_scope.cancel()
        await keepers.aclose()
        for fd in shims:
            with pytest.raises(ProcessLookupError):
                signal.pidfd_send_signal(fd, 0)
            os.close(fd)
