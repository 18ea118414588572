"""`Deadlines`: one task and one heap for all the time limits of a backend's jobs.

A limit of a job that has ended is dropped when it comes up, or when such limits have become most of the heap. With
nothing to wait for the task sleeps without waking. If the loop has stood still until after a limit, what happened
meanwhile is told first: a job that has ended would be called lost otherwise.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from runtime.backend.live import DONE, LiveJob

_STANDSTILL: Final = 0.1
"""Seconds by which a limit must be late for the loop to count as having stood still; and then, for which others come
first. Arbitrary."""


async def _wait_for_news() -> None:
    await trio.sleep(_STANDSTILL)


_Entry = tuple[float, int, LiveJob, Callable[[LiveJob], None]]


class Deadlines:
    """Calls ``action(job)`` when its time comes, unless the job has ended by then."""

    def __init__(self) -> None:
        self.catch_up: Callable[[], Awaitable[object]] = _wait_for_news
        """Called before limits come up late, as the loop has stood still; it may `postpone` them."""
        self._heap: list[_Entry] = []
        self._order = itertools.count()
        self._held: list[_Entry] = []
        self._changed = trio.Event()
        self._compact_at = 1024

    def add(self, at: float, job: LiveJob, action: Callable[[LiveJob], None]) -> None:
        """Call ``action(job)`` at the time `at`, in seconds of `trio.current_time`."""
        if len(self._heap) >= self._compact_at:
            self._heap = [entry for entry in self._heap if entry[2].stage is not DONE]
            heapq.heapify(self._heap)
            self._compact_at = max(1024, 2 * len(self._heap))
        entry = (at, next(self._order), job, action)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._changed.set()

    def hold(self) -> None:
        """Let no limit that there is now come up until `release`; those that are added later do."""
        self._held += self._heap
        self._heap = []

    def release(self, seconds: float) -> None:
        """Let those that were held come up again, `seconds` later than they were to."""
        self._heap += [(at + seconds, order, job, action) for at, order, job, action in self._held]
        self._held = []
        heapq.heapify(self._heap)
        self._changed.set()

    def postpone(self, seconds: float) -> None:
        """Let all limits come up `seconds` later: what they are for has stood still."""
        self.hold()
        self.release(seconds)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            self._changed = trio.Event()
            if self._heap and self._heap[0][0] + _STANDSTILL < trio.current_time():
                await self.catch_up()
            now = trio.current_time()
            while self._heap and (self._heap[0][0] <= now or self._heap[0][2].stage is DONE):
                _, _, job, action = heapq.heappop(self._heap)
                if job.stage is not DONE:
                    action(job)
            with trio.move_on_at(self._heap[0][0]) if self._heap else trio.CancelScope():
                await self._changed.wait()
