"""`Poller`: decides which job is polled when.

Jobs are polled first in, first out, with at most `max_per_tick` polls in a tick. A tick begins one interval after the
end of the last one, or at once if that is long ago: so a rest follows a slow tick, and never a burst. A job that
arrives during a tick is polled in the same tick, unless that has lasted an interval. No job is polled twice in one
tick.

The very first tick waits until no launch is in progress, so that all slots are filled before the first poll.

So with `n` jobs and `m` polls per tick, a job waits for at most ⌈n/m⌉ ticks. Without jobs the poller sleeps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from runtime.backend.legacy.launcher_calls import Entry

MIN_INTERVAL: Final = 0.001
"""Seconds between two ticks if the interval is 0 and the last tick ended no job. Arbitrary: ten times as long would be
noticed by short jobs, a tenth would keep a processor busy with polls."""


class Poller:
    """A task that polls the entries it receives over a memory channel.

    Args:
        interval: seconds between ticks; 0 for none.
        max_per_tick: how many entries are polled in a tick; `math.inf` for all.
        poll: polls these entries in order, removes them, and returns when none is left; returns those to poll again.
        still_due: filters waiting entries: those that still need a poll, in order. The others do not count towards
            `max_per_tick`.
        wait_launched: awaited before the first tick; must be bounded.
    """

    def __init__(
        self,
        interval: float,
        max_per_tick: float,
        poll: Callable[[deque[Entry]], Awaitable[list[Entry]]],
        still_due: Callable[[list[Entry]], list[Entry]],
        wait_launched: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        self._interval = interval
        self._max_per_tick = max_per_tick
        self._poll = poll
        self._still_due = still_due
        self._wait_launched = wait_launched
        self._send, self._receive = trio.open_memory_channel[list[Entry]](math.inf)
        self._waiting: deque[Entry] = deque()

    def feed(self, entries: list[Entry]) -> None:
        """Poll these entries from now on, after all others."""
        if entries:
            self._send.send_nowait(entries)

    def take_waiting(self) -> list[Entry]:
        """Remove and return all waiting entries."""
        self._receive_new()
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
            # From the end of the tick, not its start: a slow tick must not be followed by a burst.
            due = trio.current_time() + (self._interval or (0 if progress else MIN_INTERVAL))

    async def _tick(self) -> bool:
        """Poll each entry once, as far as the limits allow; return whether any needs no further poll."""
        ends = trio.current_time() + self._interval
        left = self._max_per_tick
        again: list[Entry] = []
        polled = 0
        while left > 0 and (polled == 0 or trio.current_time() < ends):  # one round even if the interval is 0
            self._receive_new()  # in each round: a job that arrives during the tick is polled in it
            entries = self._draw(left)
            if not entries:
                break
            left -= len(entries)
            polled += len(entries)
            again += await self._poll(entries)
        self._waiting.extend(again)  # only now, behind those that arrived meanwhile: none is polled twice in a tick
        return len(again) < polled

    def _draw(self, most: float) -> deque[Entry]:
        waiting, drawn = self._waiting, deque[Entry]()
        while waiting and len(drawn) < most:
            count = min(len(waiting), most - len(drawn))  # again, as some drawn entries may not be due any more
            drawn += self._still_due([waiting.popleft() for _ in range(int(count))])
        return drawn

    def _receive_new(self) -> None:
        try:
            while True:
                self._waiting.extend(self._receive.receive_nowait())
        except trio.WouldBlock:
            pass
