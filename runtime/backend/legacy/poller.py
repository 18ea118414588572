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
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from runtime.backend.legacy.entry import IDLE, Entry

FIRST_TICK: Final = 1.0
"""Seconds that the first tick of polls waits for launches in progress. Arbitrary: ten times as long would delay the
first results of slow launchers, with a tenth a busy machine would poll before all slots are filled."""

MIN_INTERVAL: Final = 0.001
"""Seconds between two ticks if the interval is 0 and the last tick ended no job. Arbitrary: ten times as long would be
noticed by short jobs, a tenth would keep a processor busy with polls."""


class Poller:
    """A task that polls the entries it receives over a memory channel, as long as they are IDLE.

    Args:
        interval: seconds between ticks; 0 for none.
        max_per_tick: how many entries are polled in a tick; `math.inf` for all.
        poll: polls these entries in order, removes them, and returns when none is left; returns those to poll again.
    """

    def __init__(
        self, interval: float, max_per_tick: float, poll: Callable[[deque[Entry]], Awaitable[list[Entry]]]
    ) -> None:
        self._interval = interval
        self._max_per_tick = max_per_tick
        self._poll = poll
        self._send, self._receive = trio.open_memory_channel[list[Entry]](math.inf)
        self._waiting: deque[Entry] = deque()
        self._launches = 0
        """How many submissions are being launched."""
        self._all_launched = trio.Event()
        """Set, and replaced, when `_launches` becomes 0."""

    def feed(self, entries: list[Entry]) -> None:
        """Poll those of `entries` that are IDLE from now on, after all others."""
        if idle := _idle(entries):
            self._send.send_nowait(idle)

    @contextmanager
    def launching(self) -> Iterator[None]:
        """Return a context in which a submission is launched: the first tick waits for its end."""
        self._launches += 1
        try:
            yield
        finally:
            self._launches -= 1
            if not self._launches:
                self._all_launched.set()
                self._all_launched = trio.Event()

    def take_waiting(self) -> list[Entry]:
        """Remove and return all waiting entries."""
        self._receive_new()
        waiting, self._waiting = _idle(self._waiting), deque()
        return waiting

    async def run(self) -> None:
        """Poll until cancelled."""
        due = -math.inf
        self._waiting.extend(await self._receive.receive())
        with trio.move_on_after(FIRST_TICK):
            while self._launches:  # another submission may have begun when this wakes up
                await self._all_launched.wait()
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
        """Remove the next entries, at most `most` of them; those that need no poll any more do not count."""
        waiting, drawn = self._waiting, deque[Entry]()
        while waiting and len(drawn) < most:
            count = min(len(waiting), most - len(drawn))  # again, as some drawn entries may not be due any more
            drawn += _idle([waiting.popleft() for _ in range(int(count))])
        return drawn

    def _receive_new(self) -> None:
        try:
            while True:
                self._waiting.extend(self._receive.receive_nowait())
        except trio.WouldBlock:
            pass


def _idle(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.state is IDLE]
