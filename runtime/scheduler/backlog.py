"""`Backlog`: the jobs that are ready for one backend, the best of them, and how many the backend may be given.

The ready queues are in a heap, ordered by their heads. A queue that lacks a resource is taken out (`park`) and offered
again when some of it is released.
"""

from __future__ import annotations

import heapq
import math
from typing import Final

from runtime.scheduler.backoff import Backoff
from runtime.scheduler.graph import Node
from runtime.scheduler.ready import Key, ReadyQueue
from runtime.scheduler.resources import Request


class Backlog:
    """What the plan knows about one backend.

    Args:
        name: of the backend.
        limit: how many jobs it may have at once, `None` for no limit.
        batch: how many jobs may be offered to it at once, `None` for no limit.
        keeps_attempts: for `keeps_attempts`.
    """

    def __init__(self, name: str, limit: int | None, batch: int | None = None, *, keeps_attempts: bool = True) -> None:
        self.name = name
        self.keeps_attempts: Final = keeps_attempts
        """See `BackendLimits`."""
        self.limit: float = math.inf if limit is None else limit
        self.in_flight = 0
        """How many jobs it has, or is being offered."""
        self.heap: list[tuple[Key, int, ReadyQueue]] = []
        """Queues with the keys of their heads. An entry whose key is not `ReadyQueue.entry` is stale, and is skipped:
        to remove it from the middle of a heap would cost more."""
        self._order = 0
        """Counts entries, so that two of the same key are never compared by their queues."""
        self.queues: dict[Request, ReadyQueue] = {}
        """Each request that a job has made, and its queue."""
        self.backoff: Final = Backoff(batch)
        self.gone: str | None = None
        """Why it has ended, if it has; the reason of all its jobs from then on."""

    def free(self, now: float) -> float:
        """Return how many jobs it may be offered now."""
        return min(self.limit - self.in_flight, self.backoff.free(now))

    def offer(self, queue: ReadyQueue) -> None:
        """Put `queue` into the heap, or move it up if its head has become better."""
        key = queue.key()
        if queue.entry is None or key < queue.entry:
            self._order += 1
            queue.entry = key
            heapq.heappush(self.heap, (key, self._order, queue))

    def best(self, *, exact: bool = False) -> ReadyQueue | None:
        """Return the ready queue with the best head.

        The only queue of a heap may keep the key of a head that it no longer has, which is too good. With `exact` the
        key is corrected in that case, too, because it is compared with that of another backend.
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
        """Return the ready queue of the jobs that make this request."""
        queue = self.queues.get(request)
        if queue is None:
            queue = self.queues[request] = ReadyQueue(self, request)
        return queue

    def drain(self) -> list[Node]:
        """Take out and return all jobs that are ready."""
        self.heap.clear()
        for queue in self.queues.values():
            queue.entry = None
        return [node for queue in self.queues.values() for node in queue.drain()]

    def park(self, queue: ReadyQueue) -> None:
        """Take out `queue`, which `best` has just returned."""
        heapq.heappop(self.heap)  # it is the first
        queue.entry = None
