"""`Arbiter`: who gets a scarce resource next.

A queue whose head lacks something waits at that resource, and is offered to its backend again when some of it comes
free. Once what it asks for has been granted to others `PATIENCE` times, it claims that: nobody else gets those
resources before it. A claim is made only if none of them is claimed already, so claims cannot wait for each other;
and only if the present limits can grant it at all.
"""

from __future__ import annotations

import logging
from typing import Final

from runtime.scheduler.ready import ReadyQueue
from runtime.scheduler.resources import Request, ResourcePool

logger: Final = logging.getLogger("runtime.scheduler")

PATIENCE: Final = 100
"""Times that a job is passed over for a resource before it claims it."""


class Arbiter:
    """Grants what a pool holds, and remembers who waits for it."""

    def __init__(self, pool: ResourcePool) -> None:
        self.pool = pool
        self._waiting: dict[str, list[ReadyQueue]] = {}
        self._claims: dict[str, ReadyQueue] = {}
        self._grants: dict[str, int] = {}

    def lacking(self, queue: ReadyQueue) -> str | None:
        """Return the resource that the head of `queue` cannot have now, be it used up or claimed by another."""
        if self._claims:
            for name, _ in queue.request:
                if self._claims.get(name, queue) is not queue:
                    return name
        return self.pool.lacking(queue.request)

    def wait(self, queue: ReadyQueue, resource: str) -> None:
        """Let `queue` wait for `resource`, which it lacks."""
        queue.waits_for = resource
        self._waiting.setdefault(resource, []).append(queue)
        granted = sum(self._grants.get(name, 0) for name, _ in queue.request)
        if queue.waiting_since is None:
            queue.waiting_since = granted
        elif granted - queue.waiting_since >= PATIENCE:
            self._claim(queue)

    def take(self, queue: ReadyQueue) -> None:
        """Grant what `queue` asks for; nothing of it is lacking."""
        self.pool.take(queue.request)
        for name, _ in queue.request:
            self._grants[name] = self._grants.get(name, 0) + 1
        self.drop(queue)

    def release(self, request: Request) -> None:
        """Take back what was granted, and wake whoever waits for some of it."""
        self.pool.release(request)
        for name, _ in request:
            self._wake(name)

    def drop(self, queue: ReadyQueue) -> None:
        """`queue` got what it claims, or cannot have it, or wants nothing any more."""
        queue.waiting_since = None
        for name, _ in queue.request:
            if self._claims.get(name) is queue:
                del self._claims[name]
                self._wake(name)

    def capacity_changed(self, resource: str, capacity: int) -> None:
        """A dynamic limit is now `capacity`."""
        if not self.pool.set_capacity(resource, capacity):
            return
        for queue in self._waiting.get(resource, ()):
            if queue.size and not self.pool.possible(queue.request):
                logger.warning(
                    "%d jobs wait for %s, and the limit of %s is now %d", queue.size, queue.request, resource, capacity
                )
                self.drop(queue)
        self._wake(resource)

    def _claim(self, queue: ReadyQueue) -> None:
        if self.pool.possible(queue.request) and not any(name in self._claims for name, _ in queue.request):
            self._claims.update((name, queue) for name, _ in queue.request)

    def _wake(self, resource: str) -> None:
        """Some of `resource` is free: whoever waits for it may be looked at again."""
        for queue in self._waiting.pop(resource, ()):
            queue.waits_for = None
            if queue.size:
                queue.backend.offer(queue)
