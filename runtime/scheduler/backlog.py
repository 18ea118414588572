"""`Backlog`: what waits for one backend, which of it is best, and how much the backend may be given.

The ready queues stand in a heap, ordered by their heads. A queue that lacks a resource is taken out (`park`) and
offered again when there is some. A busy backend is left alone for a delay that doubles, then given a window of jobs
that doubles.
"""

from __future__ import annotations

import heapq
import math
from typing import Final

from runtime.job import JobStatusInfo
from runtime.scheduler.graph import Node
from runtime.scheduler.ready import Key, ReadyQueue
from runtime.scheduler.resources import Request

FIRST_DELAY: Final = 0.05
"""Seconds that a backend is left alone after it was busy once. Arbitrary."""
LONGEST_DELAY: Final = 10.0
"""Seconds, at most, between two attempts at a busy backend. Arbitrary: if it were ten times longer, one would stand
idle for so long after it has room again; ten times shorter, a farm's command would be called without need."""


class Backlog:
    """What the plan knows of one backend.

    Args:
        name: the backend's.
        limit: how many jobs it may have at once, `None` for no limit.
        batch: how many jobs may be on offer to it at once, `None` for no limit.
    """

    def __init__(self, name: str, limit: int | None, batch: int | None = None) -> None:
        self.name = name
        self.limit = math.inf if limit is None else limit
        self.in_flight = 0
        """How many jobs it has, or is being offered."""
        self.heap: list[tuple[Key, int, ReadyQueue]] = []
        self._order = 0
        self.plain = ReadyQueue(self, ())
        """The queue of the jobs that ask for nothing."""
        self.queues: dict[Request, ReadyQueue] = {(): self.plain}
        self.retry_at: float | None = None
        """When it is worth asking again, after it was busy."""
        self.delay = FIRST_DELAY
        self.batch = math.inf if batch is None else batch
        self.window = self.batch
        """How many jobs may be on offer to it at once; fewer after it was busy."""
        self.offered = 0
        """How many jobs it was offered and has neither accepted nor refused."""
        self.gone: JobStatusInfo | None = None

    def free(self) -> float:
        """Return how many jobs it may be given."""
        if self.retry_at is not None:
            return 0
        return min(self.limit - self.in_flight, self.window - self.offered)

    def offer(self, queue: ReadyQueue) -> None:
        """Put `queue` where its head belongs, if that is better than where it stands."""
        key = queue.key()
        if queue.entry is None or key < queue.entry:
            self._order += 1
            queue.entry = key
            heapq.heappush(self.heap, (key, self._order, queue))

    def best(self, *, exact: bool = False) -> ReadyQueue | None:
        """Return the ready queue with the best head.

        A queue keeps the key of a head that has left, which is too good, for as long as it stands alone; with `exact`
        it is put right all the same, for a comparison between backends.
        """
        heap = self.heap
        while heap:
            entry, _, queue = heap[0]
            if entry is not queue.entry:
                heapq.heappop(heap)
            elif not queue.size:
                heapq.heappop(heap)
                queue.entry = None
            elif (exact or len(heap) > 1) and (key := queue.key()) != entry:
                self._order += 1
                queue.entry = key
                heapq.heapreplace(heap, (key, self._order, queue))
            else:
                return queue
        return None

    def queue(self, request: Request) -> ReadyQueue:
        """Return the ready queue for this request."""
        queue = self.queues.get(request)
        if queue is None:
            queue = self.queues[request] = ReadyQueue(self, request)
        return queue

    def answered(self, accepted: int, refused: int, now: float) -> None:
        """It took so many of what it was offered, and refused so many."""
        self.offered -= accepted + refused
        if refused:
            self.retry_at = now + self.delay
            self.delay = min(2 * self.delay, LONGEST_DELAY)
            self.window = max(1, accepted)
        else:
            self.delay = FIRST_DELAY
            self.window = min(2 * self.window, self.batch)

    def drain(self) -> list[Node]:
        """Take out all that is ready."""
        self.heap.clear()
        for queue in self.queues.values():
            queue.entry = None
        return [node for queue in self.queues.values() for node in queue.drain()]

    def park(self, queue: ReadyQueue) -> None:
        """Take out `queue`, which is the best."""
        heapq.heappop(self.heap)
        queue.entry = None
