"""`Arbiter`: which queue gets a scarce resource next.

A queue whose head lacks a resource waits for that resource, and is offered to its backend again when some of it is
released. Once the resources that it requests have been granted to other queues `GRANTS_BEFORE_CLAIM` times, it claims
them: no other queue gets any before it. A claim is made only if none of these resources is claimed already, so claims
cannot wait for each other, and only if the present limits can grant it at all.
"""

from __future__ import annotations

import logging
from typing import Final

from runtime.scheduler.ready import ReadyQueue
from runtime.scheduler.resources import Request, ResourcePool

logger: Final = logging.getLogger("runtime.scheduler")

GRANTS_BEFORE_CLAIM: Final = 100
"""Grants of its resources to other queues after which a waiting queue claims them. Arbitrary: ten times larger, a job
that needs many licences waits for 1,000 small ones to start first; ten times smaller, licences are idle more often
while a claim waits for more of them."""


class Arbiter:
    """Grants resources of a pool, and remembers which queues wait for them."""

    def __init__(self, pool: ResourcePool) -> None:
        self.pool = pool
        self._waiting: dict[str, list[ReadyQueue]] = {}
        """By resource: the queues whose head lacks it."""
        self._claims: dict[str, ReadyQueue] = {}
        """By resource: the queue that gets it before all others."""
        self._grants: dict[str, int] = {}
        """By resource: how many requests for it were granted so far."""

    def lacking(self, queue: ReadyQueue) -> str | None:
        """Return a resource that the head of `queue` cannot have now: it is used up, or another queue claims it."""
        if self._claims:
            for name, _ in queue.request:
                if self._claims.get(name, queue) is not queue:
                    return name
        return self.pool.lacking(queue.request)

    def waited_for(self) -> list[str]:
        """Return the names of the resources that queues with jobs wait for, sorted."""
        return sorted(name for name, queues in self._waiting.items() if any(queue.size for queue in queues))

    def wait(self, queue: ReadyQueue, resource: str) -> None:
        """Let `queue` wait for `resource`, which it lacks."""
        queue.waits_for = resource
        self._waiting.setdefault(resource, []).append(queue)
        # A count of grants, not a time: waiting is unfair only while others are served.
        granted = sum(self._grants.get(name, 0) for name, _ in queue.request)
        if queue.waiting_since is None:
            queue.waiting_since = granted
        elif granted - queue.waiting_since >= GRANTS_BEFORE_CLAIM:
            self._claim(queue)

    def take(self, queue: ReadyQueue) -> None:
        """Grant the request of `queue`; none of it is lacking."""
        self.pool.take(queue.request)
        for name, _ in queue.request:
            self._grants[name] = self._grants.get(name, 0) + 1
        self.drop(queue)

    def release(self, request: Request) -> None:
        """Return granted resources to the pool, and offer the queues that wait for them again."""
        self.pool.release(request)
        for name, _ in request:
            self._wake(name)

    def drop(self, queue: ReadyQueue) -> None:
        """End the claim of `queue`, if it has one: its request was granted, or cannot be granted, or it is empty."""
        queue.waiting_since = None
        for name, _ in queue.request:
            if self._claims.get(name) is queue:
                del self._claims[name]
                self._wake(name)

    def capacity_changed(self, resource: str, capacity: int | None, *, lowered: bool = False) -> None:
        """Take note that the limit of a resource is now `capacity`, `None` for unlimited.

        Args:
            resource: its name.
            capacity: the limit.
            lowered: whether it will rise by itself, so that nobody need be told which jobs wait for that.
        """
        if not self.pool.set_capacity(resource, capacity):
            return
        for queue in self._waiting.get(resource, ()):
            if not queue.size:
                continue
            if not self.pool.possible(queue.request):
                # Its claim would keep the resource from all others, for a request that cannot be granted.
                self.drop(queue)
            # Of this resource alone: the limit of another one, which its provider has still to tell, is 0 at first.
            amount = dict(queue.request)[resource]
            if not self.pool.possible(((resource, amount),)):
                level = logging.INFO if lowered else logging.WARNING
                text = "%d jobs need %s of resource %r, and its limit is now %s"
                logger.log(level, text, queue.size, "all" if amount is None else amount, resource, capacity)
        self._wake(resource)

    def _claim(self, queue: ReadyQueue) -> None:
        # All of its resources or none: two queues that each claim what the other needs would both wait for ever.
        if self.pool.possible(queue.request) and not any(name in self._claims for name, _ in queue.request):
            self._claims.update((name, queue) for name, _ in queue.request)

    def _wake(self, resource: str) -> None:
        """Offer the queues that wait for `resource` to their backends again: some of it is free."""
        for queue in self._waiting.pop(resource, ()):
            queue.waits_for = None
            if queue.size:
                queue.backlog.offer(queue)
