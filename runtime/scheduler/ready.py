"""`ReadyQueue`: jobs that could start now, if their backend had a slot and their resources were free.

There is one queue for each backend and distinct resource request, so that a full backend or a scarce licence delays no
other jobs. A queue has one deque for each distinct priority, which costs less than a comparison per job.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from runtime.scheduler.graph import NOWHERE, READY, Node
from runtime.scheduler.priorities import Ordered
from runtime.scheduler.resources import Request

if TYPE_CHECKING:
    from runtime.scheduler.backlog import Backlog


class Descending:  # noqa: PLW1641 - nothing hashes it
    """Reverses the order of a priority, because a heap gives the smallest first."""

    __slots__ = ("priority",)

    def __init__(self, priority: Ordered) -> None:
        self.priority: Ordered = priority

    def __lt__(self, other: Descending) -> bool:
        return other.priority < self.priority

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and self.priority == other.priority

    def __repr__(self) -> str:
        return f"Descending({self.priority!r})"


Key = tuple[Descending, int]
"""Orders queues: the priority and the rank of the head."""


class ReadyQueue:
    """Jobs of one backend and one request, highest priority first, then in the order in which they came."""

    __slots__ = ("_deques", "_order", "backlog", "entry", "request", "size", "waiting_since", "waits_for")

    def __init__(self, backlog: Backlog, request: Request) -> None:
        self.backlog: Backlog = backlog
        self.request: Request = request
        self.size: int = 0
        self.entry: Key | None = None
        """The key that it has in its backend's heap; `None` if it is not there."""
        self.waits_for: str | None = None
        """The resource that it waits for."""
        self.waiting_since: int | None = None
        """How often the resources that it requests had been granted when its head first lacked one."""
        self._order: list[Descending] = []
        """A heap of the priorities that have a deque."""
        self._deques: dict[Ordered, deque[Node]] = {}
        """By priority. A job that ended here stays in its deque, and is skipped later: to find it would cost more. But
        the head is always a job that has not ended."""

    def __repr__(self) -> str:
        return f"<ReadyQueue {self.backlog.name!r} {self.request} size {self.size}>"

    def push(self, node: Node, priority: Ordered, front: bool = False) -> bool:
        """Add `node` behind those of its priority, or (`front`) before them; return whether it may be the new head."""
        waiting = self._deques.get(priority)
        if waiting is None:
            waiting = self._deques[priority] = deque()
            heapq.heappush(self._order, Descending(priority))
        if front:
            waiting.appendleft(node)
        else:
            waiting.append(node)
        node.place = READY
        self.size += 1
        return front or len(waiting) == 1

    def key(self) -> Key:
        """Return the key of the head; there must be one."""
        first = self._order[0]
        return first, self._head_deque()[0].rank

    def pop(self) -> Node:
        """Take out and return the head; there must be one."""
        return self.take(1)[0]

    def take(self, most: float) -> list[Node]:
        """Take out and return the head and those behind it, at most `most` jobs."""
        taken: list[Node] = []
        while self._order and (left := most - len(taken)) > 0:
            waiting = self._head_deque()
            while waiting and left > 0:
                node = waiting.popleft()
                if node.event is None:  # else it was removed
                    node.place = NOWHERE
                    taken.append(node)
                    left -= 1
            if not waiting:
                del self._deques[heapq.heappop(self._order).priority]
        self.size -= len(taken)
        self._drop_ended()
        return taken

    def remove(self, node: Node) -> None:
        """Remove `node`, which has ended before it was submitted."""
        node.place = NOWHERE
        self.size -= 1
        self._drop_ended()

    def drain(self) -> list[Node]:
        """Take out and return all jobs, best first."""
        return self.take(self.size)

    def _head_deque(self) -> deque[Node]:
        return self._deques[self._order[0].priority]

    def _drop_ended(self) -> None:
        """Drop jobs that have ended from the front, so that the head, if any, is one that has not."""
        while self._order:
            waiting = self._head_deque()
            while waiting and waiting[0].event is not None:
                waiting.popleft()
            if waiting:
                return
            del self._deques[heapq.heappop(self._order).priority]
