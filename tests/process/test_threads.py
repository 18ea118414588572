"""No call waits for another that is stuck: the limiter is enlarged for stalled calls, and reduced when they return."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
import trio

from runtime.process import Work, batched_calls, each_in_thread, in_thread, threads
from runtime.process.filesystems import FileSystems


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "STALLED", 0.02)
    monkeypatch.setattr(batched_calls, "STALLED", 0.02)


class Door:
    """Blocks all callers until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.waiting = 0

    def pass_through(self, value: int = 0) -> int:
        self.waiting += 1
        assert self.opened.wait(60)
        return value


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not true():  # noqa: ASYNC110 - threads make it true
            await trio.sleep(0.001)


async def test_stuck_calls_keep_no_others_from_a_thread() -> None:
    limiter, door = trio.CapacityLimiter(2), Door()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(lambda: in_thread(door.pass_through, limiter=limiter))
        await until(lambda: door.waiting == 5)
        with trio.fail_after(60):
            assert await in_thread(max, 3, 4, limiter=limiter) == 4
        door.opened.set()
    await until(lambda: limiter.total_tokens == 2)  # the tokens were taken back
    assert limiter.borrowed_tokens == 0


async def test_the_token_of_an_abandoned_call_is_taken_back_too() -> None:
    limiter, door = trio.CapacityLimiter(1), Door()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: in_thread(door.pass_through, limiter=limiter))
        await until(lambda: door.waiting == 1)
        nursery.cancel_scope.cancel()
    with trio.fail_after(60):
        assert await in_thread(max, 3, 4, limiter=limiter) == 4
    assert limiter.total_tokens == 2
    door.opened.set()
    await until(lambda: limiter.total_tokens == 1)


async def test_a_call_that_uses_the_cpu_keeps_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def used(_: object) -> float:
        nonlocal looks
        looks += 1
        return float(looks)

    monkeypatch.setattr(threads._Call, "used", used)
    limiter, door, order = trio.CapacityLimiter(1), Door(), list[str]()

    async def run(name: str, function: Callable[[], object]) -> None:
        await in_thread(function, limiter=limiter)
        order.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "first", door.pass_through)
        await until(lambda: door.waiting == 1)
        nursery.start_soon(run, "second", int)
        await until(lambda: looks > 10)
        assert order == []
        assert limiter.total_tokens == 1
        door.opened.set()
    assert order == ["first", "second"]


async def test_there_are_not_more_and_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MOST_STALLED", 3)
    limiter, door = trio.CapacityLimiter(2), Door()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(lambda: in_thread(door.pass_through, limiter=limiter))
        await until(lambda: limiter.total_tokens == 5)
        await until(lambda: door.waiting == 5)
        assert limiter.statistics().tasks_waiting == 5
        door.opened.set()
    await until(lambda: limiter.total_tokens == 2)


async def test_calls_after_a_stuck_one_are_made_by_another_thread() -> None:
    limiter, door, returned = trio.CapacityLimiter(1), Door(), dict[int, int]()

    def function(item: int) -> int:
        return door.pass_through(-item) if item in (0, 3, 4) else -item

    def done(results: Sequence[tuple[int, int]]) -> None:
        returned.update(results)

    async with trio.open_nursery() as nursery:
        with trio.fail_after(60):
            await each_in_thread(Work(function, range(8)), limiter=limiter, nursery=nursery, done=done)
        assert sorted(returned) == [1, 2, 5, 6, 7]
        door.opened.set()
    assert returned == {item: -item for item in range(8)}


async def test_results_after_a_cancel_are_discarded() -> None:
    door, discarded = Door(), list[int]()
    calls = Work(door.pass_through, range(3), discarded.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: each_in_thread(calls, limiter=trio.CapacityLimiter(1), nursery=nursery, done=lambda _: None)
        )
        await until(lambda: door.waiting == 3)
        nursery.cancel_scope.cancel()
    door.opened.set()
    await until(lambda: sorted(discarded) == [0, 1, 2])


async def test_what_was_returned_already_is_discarded_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Discarding may block: the process that was started may not die at once."""
    monkeypatch.setattr(batched_calls, "STALLED", 60)  # so that the first result is not taken
    stuck, discarding = Door(), Door()
    discarded = list[int]()

    def function(item: int) -> int:
        return stuck.pass_through(item) if item else item

    def discard(item: int) -> None:
        discarding.pass_through()
        discarded.append(item)

    async with trio.open_nursery() as nursery:
        calls = Work(function, [0, 1], discard)
        nursery.start_soon(
            lambda: each_in_thread(calls, limiter=trio.CapacityLimiter(1), nursery=nursery, done=lambda _: None)
        )
        await until(lambda: stuck.waiting == 1)
        nursery.cancel_scope.cancel()
    await until(lambda: discarding.waiting == 1)
    stuck.opened.set()
    discarding.opened.set()
    await until(lambda: sorted(discarded) == [0, 1])


async def test_without_a_thread_for_it_what_was_returned_is_discarded_later(monkeypatch: pytest.MonkeyPatch) -> None:
    started, discarded = trio.lowlevel.start_thread_soon, threading.Event()

    def refuse(*_: object, **__: object) -> None:
        monkeypatch.setattr(trio.lowlevel, "start_thread_soon", started)
        raise RuntimeError("can't start new thread")

    calls = Work(int, ["7"], lambda _: discarded.set())
    calls.run(batched_calls._Hop(), FileSystems.here())
    monkeypatch.setattr(trio.lowlevel, "start_thread_soon", refuse)
    calls.abandon()
    await until(discarded.is_set)


async def test_without_a_thread_what_has_not_begun_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
    calls = Work(int, ["1", "2"])
    async with trio.open_nursery() as nursery:
        with pytest.raises(OSError, match="no thread can be started"):
            await each_in_thread(
                calls,
                limiter=trio.CapacityLimiter(1),
                nursery=nursery,
                done=lambda _: None,
                wait_for_thread=False,
            )
    assert calls.left() == ["1", "2"]


async def test_no_task_is_left_when_a_call_has_waited_for_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "STALLED", 1000)
    limiter, door = trio.CapacityLimiter(1), Door()
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lambda: in_thread(door.pass_through, limiter=limiter))
            await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before + 3, "one watches for stalled calls"
        door.opened.set()
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living <= before
