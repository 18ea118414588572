from __future__ import annotations

import math
from collections import deque
from typing import Any, cast

import attrs
import trio
from trio.testing import MockClock

from runtime.backend.legacy.entry import Entry, LauncherState
from runtime.backend.legacy.poller import MIN_INTERVAL, Poller


@attrs.define(eq=False)
class Fake:
    """Stands for an entry."""

    name: str
    state: LauncherState = LauncherState.IDLE


class PollerRig:
    """Stands for the driver: records which entry is polled when, and releases each after its number of polls."""

    def __init__(self, interval: float, max_per_tick: float = math.inf, *, takes: float = 0.0) -> None:
        self.poller = Poller(interval, max_per_tick, self.poll)
        self.polled: list[tuple[float, str]] = []
        self.entries: dict[str, Fake] = {}
        self.left: dict[str, int] = {}
        self.takes = takes

    def feed(self, **polls: int) -> None:
        self.left |= polls
        fed = {name: Fake(name) for name in polls}
        self.entries |= fed
        self.poller.feed(cast("list[Entry]", list(fed.values())))

    async def poll(self, entries: deque[Any]) -> list[Any]:
        alive = []
        while entries:
            entry = entries.popleft()
            self.polled.append((trio.current_time(), entry.name))
            self.left[entry.name] -= 1
            if self.left[entry.name]:
                alive.append(entry)
            await trio.sleep(self.takes)
        await trio.lowlevel.checkpoint()
        return alive


async def test_the_first_tick_is_at_once_and_the_next_one_an_interval_later(autojump_clock: MockClock) -> None:
    rig = PollerRig(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.poller.run)
        await trio.sleep(3)
        rig.feed(a=2, b=1)
        await trio.sleep(100)
        rig.feed(c=1)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert rig.polled == [(3, "a"), (3, "b"), (8, "a"), (103, "c")]


async def test_no_entry_is_polled_twice_in_a_tick(autojump_clock: MockClock) -> None:
    rig = PollerRig(5, max_per_tick=10, takes=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.poller.run)
        rig.feed(a=2, b=2)
        await trio.sleep(1.5)
        rig.feed(c=2)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert rig.polled == [(0, "a"), (1, "b"), (2, "c"), (8, "a"), (9, "b"), (10, "c")]


async def test_a_tick_that_has_lasted_an_interval_takes_in_no_new_entry(autojump_clock: MockClock) -> None:
    rig = PollerRig(1, takes=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.poller.run)
        rig.feed(a=2, b=2)
        await trio.sleep(1.5)
        rig.feed(c=1)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert rig.polled == [(0, "a"), (1, "b"), (3, "a"), (4, "b"), (5, "c")]


async def test_without_an_interval_a_tick_that_ended_a_job_is_followed_at_once(autojump_clock: MockClock) -> None:
    rig = PollerRig(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.poller.run)
        rig.feed(a=4, b=2)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert [at for at, name in rig.polled if name == "a"] == [0, MIN_INTERVAL, MIN_INTERVAL, 2 * MIN_INTERVAL]


async def test_the_quota_of_a_tick(autojump_clock: MockClock) -> None:
    rig = PollerRig(1, max_per_tick=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.poller.run)
        rig.feed(a=2, b=2, c=2)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert rig.polled == [(0, "a"), (0, "b"), (1, "c"), (1, "a"), (2, "b"), (2, "c")]


async def test_feeding_nothing_wakes_no_task(autojump_clock: MockClock) -> None:
    rig = PollerRig(1)
    rig.poller.feed([])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.poller.run)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert rig.polled == []


async def test_entries_that_are_not_due_do_not_count_towards_the_maximum(autojump_clock: MockClock) -> None:
    rig = PollerRig(1, max_per_tick=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.poller.run)
        rig.feed(a=9, b=9, c=9, d=9, e=2, f=2)
        await trio.sleep(0.5)
        for name in "abcd":
            rig.entries[name].state = LauncherState.KILLING
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert rig.polled == [(0, "a"), (0, "b"), (1, "e"), (1, "f"), (2, "e"), (2, "f")]
