"""`StandstillWatch`: limits that expire late wait until the witness was heard."""

from __future__ import annotations

import math
import time

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from runtime.backend.local.standstill_watch import StandstillWatch
from tests.backend.manual import ManualBackend, job, opened

SECONDS = 100


@pytest.mark.parametrize("all_stood_still", [True, False])
async def test_a_limit_that_expires_late_waits_for_the_witness(
    all_stood_still: bool, autojump_clock: MockClock
) -> None:
    backend = ManualBackend()
    asked = 0

    async def flush() -> None:
        nonlocal asked
        asked += 1
        if all_stood_still:
            watch.note_theirs(due, now)

    async with opened(backend):
        watch = StandstillWatch(backend.control, flush)
        backend.control.deadlines.catch_up = watch.catch_up
        await backend.submit(job(timeout=5))
        await trio.testing.wait_all_tasks_blocked()
        autojump_clock.autojump_threshold = math.inf
        autojump_clock.jump(SECONDS)
        now = time.monotonic()
        due = now - SECONDS
        watch.note_ours(due)
        autojump_clock.autojump_threshold = 0
        await trio.sleep(1)
        assert asked == 1
        assert backend.killed == ([] if all_stood_still else ["a"])
        await trio.sleep(5)
        assert backend.killed == ["a"], "it has a limit all the same"
        assert asked == 1, "the loop has not stood still again"
        backend.die("a")


async def test_who_comes_second_waits_for_the_same_answer(autojump_clock: MockClock) -> None:
    backend = ManualBackend()
    asked: list[float] = []

    async def flush() -> None:
        asked.append(trio.current_time())
        await trio.sleep(5)

    async with opened(backend):
        watch = StandstillWatch(backend.control, flush)
        watch.note_ours(time.monotonic() - SECONDS)
        ended: list[float] = []

        async def catch_up() -> None:
            await watch.catch_up()
            ended.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(catch_up)
        assert len(asked) == 1
        assert ended == [asked[0] + 5] * 3
        began = trio.current_time()
        await watch.catch_up()
        assert trio.current_time() - began < 1
