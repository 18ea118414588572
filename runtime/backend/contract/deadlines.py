"""`Deadlines`: one task and one heap for all the deadlines of a backend's jobs.

The deadline of a job that has ended is dropped when it expires, or when the heap has doubled since the last clean-up.
Without deadlines the task sleeps and does not wake. If the event loop stood still past a deadline, events that occurred
meanwhile are processed first: a job that has ended would be reported as lost otherwise.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from runtime.backend.contract.live import DONE, LiveJob

_STANDSTILL: Final = 0.1
"""Seconds past a deadline after which the loop counts as having stood still, and for which it then runs other tasks
first. Arbitrary: ten times longer reports jobs as lost that ended during a short standstill, ten times shorter delays
deadlines on a loop that is merely busy."""


async def _let_other_tasks_run() -> None:
    await trio.sleep(_STANDSTILL)


_Entry = tuple[float, int, LiveJob, Callable[[LiveJob], None]]


class Deadlines:
    """Calls ``action(job)`` at a deadline, unless the job has ended by then."""

    def __init__(self) -> None:
        self.catch_up: Callable[[], Awaitable[object]] = _let_other_tasks_run
        """Awaited before deadlines expire late because the loop stood still. May call `postpone`."""
        self.moved: float = 0.0
        """Seconds by which all deadlines were moved later so far: those in which the jobs stood still."""
        self._heap: list[_Entry] = []
        self._order = itertools.count()
        self._held: list[_Entry] = []
        self._changed = trio.Event()
        self._compact_at = 1024

    def add(self, at: float, job: LiveJob, action: Callable[[LiveJob], None]) -> None:
        """Call ``action(job)`` at the time `at`, in seconds of `trio.current_time`."""
        # Removing each entry when its job ends would search the heap; dropping them in bulk costs O(1) for each `add`.
        if len(self._heap) >= self._compact_at:
            self._heap = [entry for entry in self._heap if entry[2].stage is not DONE]
            heapq.heapify(self._heap)
            self._compact_at = max(1024, 2 * len(self._heap))
        entry = (at, next(self._order), job, action)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:  # `run` sleeps until a later deadline
            self._changed.set()

    def hold(self) -> None:
        """Suspend all present deadlines until `release`. Deadlines that are added later are not suspended."""
        self._held += self._heap
        self._heap = []

    def release(self, seconds: float) -> None:
        """Resume the suspended deadlines, `seconds` later than they were."""
        self.moved += seconds
        self._heap += [(at + seconds, order, job, action) for at, order, job, action in self._held]
        self._held = []
        heapq.heapify(self._heap)
        self._changed.set()

    def postpone(self, seconds: float) -> None:
        """Move all deadlines `seconds` later, as their jobs stood still for that long."""
        self.hold()
        self.release(seconds)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            self._changed = trio.Event()  # before the heap is read, so that no `add` after that goes unnoticed
            if self._heap and self._heap[0][0] + _STANDSTILL < trio.current_time():
                await self.catch_up()
            now = trio.current_time()  # `catch_up` took time, and may have postponed the deadlines
            while self._heap and (self._heap[0][0] <= now or self._heap[0][2].stage is DONE):
                _, _, job, action = heapq.heappop(self._heap)
                if job.stage is not DONE:
                    action(job)
            with trio.move_on_at(self._heap[0][0]) if self._heap else trio.CancelScope():
                await self._changed.wait()
