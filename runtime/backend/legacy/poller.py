"""`Poller`: who is polled when.

First in, first out, at most so many in one tick. A tick begins at once where the last one is long over, and else one
interval after the last one's end, so that a slow tick is followed by a rest and never by a burst. What comes while a
tick is under way is polled in the same one, as long as that has not lasted an interval; nobody is polled twice in one.

The first tick of all waits until nothing is being launched, so that all slots are filled before anybody is asked.

So with `n` jobs and `m` polls in a tick, a job waits for at most ⌈n/m⌉ ticks. With no job the poller sleeps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from runtime.backend.legacy.launcher_calls import Entry

FLOOR: Final = 0.001
"""Seconds between two ticks without an interval, after one that ended nothing. A thousand polls a second are enough."""


class Poller:
    """A worker that is fed over a memory channel.

    Args:
        interval: seconds between ticks; 0 for none.
        most: how many are polled in a tick; `math.inf` for all.
        poll: polls these entries, in order, takes them out, and returns when none is left; the result is those that
            are to be polled again.
        wanted: which of some entries that wait are still to be polled, in order. One that is not takes nobody's place
            in a tick.
        wait_launched: is awaited before the first tick; must be bounded.
    """

    def __init__(
        self,
        interval: float,
        most: float,
        poll: Callable[[deque[Entry]], Awaitable[list[Entry]]],
        wanted: Callable[[list[Entry]], list[Entry]],
        wait_launched: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        self._interval = interval
        self._most = most
        self._poll = poll
        self._wanted = wanted
        self._wait_launched = wait_launched
        self._send, self._receive = trio.open_memory_channel[list[Entry]](math.inf)
        self._waiting: deque[Entry] = deque()

    def feed(self, entries: list[Entry]) -> None:
        """Poll these from now on, behind all others."""
        if entries:
            self._send.send_nowait(entries)

    def rest(self) -> list[Entry]:
        """Return all that wait to be polled, and forget them."""
        self._take_in()
        waiting, self._waiting = list(self._waiting), deque()
        return waiting

    async def run(self) -> None:
        """Poll until cancelled."""
        due = -math.inf
        self._waiting.extend(await self._receive.receive())
        await self._wait_launched()
        while True:
            if not self._waiting:
                self._waiting.extend(await self._receive.receive())
            await trio.sleep_until(max(due, trio.current_time()))
            progress = await self._tick()
            due = trio.current_time() + (self._interval or (0 if progress else FLOOR))

    async def _tick(self) -> bool:
        """Poll everyone once, as far as the limits allow; return whether somebody need not be polled again."""
        ends = trio.current_time() + self._interval
        left = self._most
        again: list[Entry] = []
        polled = 0
        while left > 0 and (polled == 0 or trio.current_time() < ends):
            self._take_in()
            entries = self._draw(left)
            if not entries:
                break
            left -= len(entries)
            polled += len(entries)
            again += await self._poll(entries)
        self._waiting.extend(again)
        return len(again) < polled

    def _draw(self, most: float) -> deque[Entry]:
        waiting, drawn = self._waiting, deque[Entry]()
        while waiting and len(drawn) < most:
            count = min(len(waiting), most - len(drawn))
            drawn += self._wanted([waiting.popleft() for _ in range(int(count))])
        return drawn

    def _take_in(self) -> None:
        try:
            while True:
                self._waiting.extend(self._receive.receive_nowait())
        except trio.WouldBlock:
            pass
