from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.legacy.call_batches import BATCH_TIME, Call, StalledCall, Step
from runtime.testing.virtual import Gate, VirtualWorkers, spend


def call(subject: Any, *waits: float | Gate, undo: list[float] | None = None) -> Call:
    def do(_subject: Any) -> str:
        for wait in waits:
            if isinstance(wait, Gate):
                wait.wait()
            else:
                spend(wait)
        return "done"

    def undone(_call: Call) -> None:
        assert undo is not None
        undo.append(trio.current_time())

    return Call(Step("call", do, undone if undo is not None else None), subject)


async def test_a_call_takes_the_time_that_it_says(autojump_clock: MockClock) -> None:
    thread = VirtualWorkers().launcher_thread("")
    done, late = await thread.run(deque([call(1, 2.0, 3.0)]), math.inf)
    assert late is None
    assert [each.value for each in done if each.has_returned] == ["done"]
    assert trio.current_time() == 5


async def test_a_slice_ends_like_a_real_one(autojump_clock: MockClock) -> None:
    thread = VirtualWorkers().launcher_thread("")
    calls = deque(call(number, BATCH_TIME * 0.6) for number in range(5))
    assert calls[2].take_back()
    counts = []
    while calls:
        counts.append(len((await thread.run(calls, math.inf))[0]))
    assert counts == [2, 2]


async def test_a_call_past_its_deadline_is_late(autojump_clock: MockClock) -> None:
    workers = VirtualWorkers()
    undo: list[float] = []
    thread = workers.launcher_thread("")
    calls = deque([call(1, 10.0, undo=undo), call(2)])
    done, late = await thread.run(calls, 4)
    assert done == []
    assert late is not None
    assert (trio.current_time(), workers.hung, len(calls)) == (4, 1, 1)
    await late.wait()
    assert (trio.current_time(), workers.hung) == (10, 0)
    assert undo == []


async def test_an_abandoned_call_is_undone_when_it_returns(autojump_clock: MockClock) -> None:
    workers, gate = VirtualWorkers(), Gate()
    undo: list[float] = []
    _, late = await workers.launcher_thread("").run(deque([call(1, gate, undo=undo)]), 4)
    assert late is not None
    late.abandon()
    assert [each.subject for each in workers.abandoned()] == [1]
    await trio.sleep(6)
    assert undo == []
    gate.open()
    await trio.testing.wait_all_tasks_blocked()
    assert undo == [10]
    assert workers.abandoned() == []


async def test_an_undo_that_raises_ends_nothing(autojump_clock: MockClock) -> None:
    def boom(_call: Call) -> None:
        raise SystemExit("the launcher's own")

    workers = VirtualWorkers()
    _, late = await workers.launcher_thread("").run(deque([Call(Step("call", lambda _: spend(5), boom), 1)]), 4)
    assert late is not None
    late.abandon()
    await trio.sleep(6)
    assert (late.has_returned(), workers.hung) == (True, 0)


async def test_a_call_that_is_given_up_is_late_at_once(autojump_clock: MockClock) -> None:
    thread, gate = VirtualWorkers().launcher_thread(""), Gate()
    hung = call(1, gate)
    results: list[tuple[list[Call], StalledCall | None]] = []

    async def run() -> None:
        results.append(await thread.run(deque([hung]), math.inf))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(3)
        thread.abandon(call(1))
        await trio.sleep(3)
        assert results == []
        thread.abandon(hung)
    assert trio.current_time() == 6
    assert results[0][1] is not None


async def test_a_cancelled_run_abandons_its_call(autojump_clock: MockClock) -> None:
    workers, gate = VirtualWorkers(), Gate()
    undo: list[float] = []
    with trio.move_on_after(3):
        await workers.launcher_thread("").run(deque([call(1, gate, undo=undo)]), math.inf)
    gate.open()
    await trio.testing.wait_all_tasks_blocked()
    assert undo == [3]


async def test_two_calls_at_once_on_one_launcher_are_a_bug(autojump_clock: MockClock) -> None:
    workers = VirtualWorkers()
    launcher = object()
    _, late = await workers.launcher_thread("").run(deque([call(launcher, 10.0)]), 1)
    assert late is not None
    with pytest.raises(AssertionError, match=r"while another call of .* was in progress"):
        await workers.launcher_thread("").run(deque([call(launcher)]), 1)
    await late.wait()
    assert (await workers.launcher_thread("").run(deque([call(launcher)]), 1))[1] is None


def test_in_a_thread_of_its_own_time_is_real(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    spend(3)
    assert slept == [3]
    gate = Gate()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    assert thread.is_alive()
    gate.open()
    thread.join()
