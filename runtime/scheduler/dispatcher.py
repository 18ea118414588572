"""`Dispatcher`: which of the ready jobs go to which backend now.

Of the backends that may be given more jobs (`backlog`), the one with the best head comes first. If that head lacks a
resource, its queue waits for that resource (`arbiter`), and is not looked at again until some of it is released.

From the moment when a job is chosen until its completion, or until its backend refuses it, the job is *in flight*: it
holds a slot of its backend, one of the run, and its resources.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import attrs

from runtime.errors import GraphError
from runtime.job.protocol import Job
from runtime.job.status import QUEUED, SCHEDULED
from runtime.scheduler.actions import NO_ATTEMPTS
from runtime.scheduler.arbiter import Arbiter
from runtime.scheduler.backlog import Backlog
from runtime.scheduler.graph import IN_FLIGHT, NOWHERE, READY, Node
from runtime.scheduler.limits import Limits
from runtime.scheduler.priorities import CheckedPriority, Priority, default_priority
from runtime.scheduler.ready import Key, ReadyQueue
from runtime.scheduler.resources import ResourcePool, request_of

logger: Final = logging.getLogger("runtime.scheduler")


@attrs.frozen
class BackendLimits:
    """What the scheduler must know about a backend; see the attributes of `RuntimeBackend`."""

    max_parallelism: int | None = None
    """How many jobs it may have at once; `None` for no limit."""
    max_batch: int | None = None
    """How many jobs may be offered to it at once; `None` for no limit."""
    resources: Collection[str] = ()
    """The resources that it requests itself, as a batch system does. For its jobs they are counted only if the run has
    a limit for them."""
    keeps_attempts: bool = True
    """Whether the files of earlier attempts are where `runtime.job.attempts` says."""


class Dispatcher:
    """The ready jobs of a run, and what those in flight hold.

    Args:
        backends: by name.
        default_backend: for jobs that name none.
        max_parallelism: how many jobs may be in flight at once on all backends, `None` for no limit.
        resources: the limits.
        priority: replaces `default_priority`. What it raises, or a value that cannot be ordered, is logged once, and
            the default counts from then on.
        attempts: for `attempts`.
    """

    def __init__(
        self,
        backends: Mapping[str, BackendLimits],
        default_backend: str,
        *,
        max_parallelism: int | None,
        resources: ResourcePool,
        priority: Priority | None,
        attempts: Mapping[str, int] = NO_ATTEMPTS,
    ) -> None:
        self._backends = backends
        self.backlogs: Final = {
            name: Backlog(name, each.max_parallelism, each.max_batch, keeps_attempts=each.keeps_attempts)
            for name, each in backends.items()
        }
        self._default = default_backend
        self._limit = math.inf if max_parallelism is None else max_parallelism
        self._arbiter = Arbiter(resources)
        self.limits: Final = Limits(self._arbiter)
        self._priority: Priority = default_priority if priority is None else CheckedPriority(priority)
        self.in_flight: int = 0
        """How many jobs are in flight."""
        self.attempts: Final = dict(attempts)
        """By id of a job: the number of the attempt that begins when it is submitted next, if that is not 1. (A
        submission that is refused is no attempt, so the next one has the same number.)"""

    def queues_of(self, jobs: Sequence[Job]) -> list[ReadyQueue]:
        """Return the queue of each of these new jobs.

        Raises:
            GraphError: if the backend of one is unknown.
            ResourceError: if the request of one can never be granted.
        """
        plain = self.backlogs[self._default].queue(())
        return [plain if not (job.backend or job.resources) else self._queue_of(job) for job in jobs]

    def _queue_of(self, job: Job) -> ReadyQueue:
        name = job.backend or self._default
        backlog = self.backlogs.get(name)
        if backlog is None:
            known = ", ".join(sorted(self.backlogs))
            raise GraphError(f"job {job.id!r} has backend {name!r}; expected a backend of this run: {known}")
        pool = self._arbiter.pool
        elsewhere = self._backends[name].resources
        request = tuple(each for each in request_of(job) if each[0] not in elsewhere or pool.has_limit(each[0]))
        pool.check(request, job.id)
        return backlog.queue(request)

    def enqueue(self, nodes: Iterable[Node], *, front: bool = False) -> None:
        """Put ready jobs into their queues, behind those of their priority, or (`front`) before them."""
        for node in nodes:
            try:
                priority = self._priority(node.job, len(node.dependents))
            except Exception:
                if self._priority is default_priority:  # a job without a weight, or a bug of ours
                    raise
                logger.exception(
                    "the priority function failed for job %r; the default priority is used from now on", node.id
                )
                self._use_default_priority()
                priority = default_priority(node.job, len(node.dependents))
            queue = node.queue
            if queue.push(node, priority, front) and queue.waits_for is None:
                queue.backlog.offer(queue)

    def _use_default_priority(self) -> None:
        """Queue all ready jobs again, because values of the default and of the user's function cannot be compared."""
        self._priority = default_priority
        for backlog in self.backlogs.values():
            self.enqueue(backlog.drain())

    def remove(self, node: Node) -> None:
        """Take a job that has ended out of its queue."""
        queue = node.queue
        queue.remove(node)
        if not queue.size:
            self._arbiter.drop(queue)

    def choose(self, now: float) -> dict[str, list[Node]]:
        """Put in flight all jobs that may start now; return them by backend, best first."""
        chosen: dict[str, list[Node]] = {}
        slots = self._limit - self.in_flight
        if slots <= 0:
            return chosen
        candidates = [backlog for backlog in self.backlogs.values() if backlog.heap and backlog.free(now) > 0]
        while candidates and slots > 0:
            backlog = candidates[0] if len(candidates) == 1 else min(candidates, key=_head_of)
            # One at a time if there are several: each may change which backend has the best head.
            nodes = self._take(backlog, min(slots if len(candidates) == 1 else 1, backlog.free(now)))
            if nodes:
                chosen.setdefault(backlog.name, []).extend(nodes)
                slots -= len(nodes)
            if not nodes or not backlog.heap or backlog.free(now) <= 0:
                candidates.remove(backlog)
        return chosen

    def _take(self, backlog: Backlog, most: float) -> list[Node]:
        """Take up to `most` jobs out of the queues of a backend, best first, and put them in flight."""
        nodes: list[Node] = []
        while len(nodes) < most and (queue := backlog.best()) is not None:
            if queue.request and (lacking := self._arbiter.lacking(queue)) is not None:
                backlog.park(queue)
                self._arbiter.wait(queue, lacking)
            elif queue.request:
                nodes.append(queue.pop())
                self._arbiter.take(queue)
            else:
                # One at a time if there are several queues: the next best head may be another queue's.
                nodes += queue.take(most - len(nodes) if len(backlog.heap) == 1 else 1)
        for node in nodes:
            node.place = IN_FLIGHT
            node.attempt = node.attempt or 1
        if self.attempts:  # asked once for all jobs, because in most runs there is only one attempt at each
            for node in nodes:
                node.attempt = self.attempts.get(node.id, 1)
        backlog.in_flight += len(nodes)
        backlog.backoff.offer(len(nodes))
        self.in_flight += len(nodes)
        return nodes

    def begin_another_attempt(self, node: Node) -> None:
        """Let the next submission of a job be another attempt at it."""
        self.attempts[node.id] = node.attempt + 1

    def attempts_of(self, nodes: Iterable[Node]) -> Mapping[str, int]:
        """Return the numbers of the attempts of jobs in flight by id, without those that are 1."""
        return {node.id: node.attempt for node in nodes if node.attempt > 1} if self.attempts else NO_ATTEMPTS

    def release(self, nodes: Sequence[Node]) -> None:
        """Free the slots and resources of these jobs, which are no longer in flight."""
        self.in_flight -= len(nodes)
        for node in nodes:
            queue = node.queue
            node.place = NOWHERE
            queue.backlog.in_flight -= 1
            if queue.request:
                self._arbiter.release(queue.request)

    def complete(self, nodes: Sequence[Node], now: float) -> None:
        """Release these jobs, which have ended on their backends; a backend that was busy is asked again at once."""
        self.release(nodes)
        for backlog in self.backlogs.values():
            if now < backlog.backoff.retry_at and any(node.queue.backlog is backlog for node in nodes):
                backlog.backoff.slot_freed()

    def wake_at(self, now: float) -> float:
        """Return when `choose` may find more although nothing has happened; `math.inf` for never."""
        delays = (backlog.backoff.retry_at for backlog in self.backlogs.values())
        return min((retry_at for retry_at in delays if now < retry_at), default=math.inf)

    def usage(self) -> dict[str, tuple[int, int | None]]:
        """Return, for each resource, how much is held, and its limit."""
        return self._arbiter.pool.usage()

    def waited_for(self) -> list[str]:
        """Return the names of the resources that jobs wait for which could start otherwise, sorted."""
        return self._arbiter.waited_for()

    def sanity_check(self, nodes: Sequence[Node]) -> None:
        """Check every invariant. For tests.

        Raises:
            AssertionError: if one does not hold.
        """
        flying = [node for node in nodes if node.place is IN_FLIGHT]
        assert self.in_flight == len(flying) <= self._limit
        pool = self._arbiter.pool
        held = dict.fromkeys(pool.usage(), 0)
        for node in flying:
            for name, amount in node.queue.request:
                held[name] += pool.held(name) if amount is None else amount
        assert {name: amount for name, (amount, _) in pool.usage().items()} == held
        for backlog in self.backlogs.values():
            assert backlog.in_flight == sum(node.queue.backlog is backlog for node in flying) <= backlog.limit
            for queue in backlog.queues.values():
                ready = [node for node in nodes if node.queue is queue and node.place is READY]
                assert queue.size == len(ready), queue
                assert all(node.status is QUEUED for node in ready), queue
                # A queue with jobs is offered, or waits for a resource; one in neither state would never start them.
                in_heap = queue.entry is not None and any(entry[0] is queue.entry for entry in backlog.heap)
                assert not ready or in_heap or queue.waits_for is not None, queue
        for node in nodes:
            assert (node.place is NOWHERE) == (node.event is not None or node.status is SCHEDULED), node


def _head_of(backlog: Backlog) -> tuple[bool, Key | None]:
    """Return what orders backends by their best jobs; one with nothing to offer is the last."""
    queue = backlog.best(exact=True)
    return (True, None) if queue is None else (False, queue.entry)
