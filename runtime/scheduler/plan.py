"""`Plan`: decides what runs next. Facts go in, actions come out; there is no I/O, no clock and no task here.

::

    add, completed, progressed, submitted, ... ──► Plan ──► decide() ──► Submit, Kill
                                                    └────► changes (who listens is not the plan's matter)

The shell (`runtime.scheduler.run`) reports each fact with the time at which it happened, then asks `decide` and
does what it says. From `Submit` until its completion, or until its backend refuses it, a job is *in flight*: it
holds a slot of its backend, one of the run, and its resources.

How a job is chosen
-------------------
Each backend has a heap of its ready queues (see `ready`), ordered by their heads; a queue that lacks a resource is
taken out and waits at that resource, so nobody is looked at twice. A job that has been passed over `PATIENCE` times
for a resource claims what it asks for: nobody else gets those resources before it. A claim is made only if none of
them is claimed already, so claims cannot wait for each other.

A busy backend is left alone for a delay that doubles, then probed with a window of jobs that doubles, too.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.errors import GraphError
from runtime.job import FailureKind, JobCompletionEvent, JobProgressEvent, JobStatus, JobStatusInfo, check_move
from runtime.scheduler.graph import Graph, Node
from runtime.scheduler.ready import Key, ReadyQueue
from runtime.scheduler.resources import Request, ResourcePool, request_of

logger: Final = logging.getLogger("runtime.scheduler")

PATIENCE: Final = 100
"""Times that a job is passed over for a resource before it claims it."""
FIRST_DELAY: Final = 0.05
"""Seconds that a backend is left alone after it was busy once. Out of the air."""
LONGEST_DELAY: Final = 10.0
"""Seconds, at most, between two attempts at a busy backend. Out of the air."""
BUSY_TIMEOUT: Final = 6 * 3600.0
"""Seconds after which a job that is refused again and again is given up. Out of the air: most of a night."""

Priority = Callable[[Any, int], Any]
"""From a job and the number of jobs that wait for it to something that can be compared and hashed; larger goes
first.
"""


def default_priority(job: Any, dependents: int) -> tuple[float, float, int]:
    """Heavier first, then the longer timeout (none is the longest), then who has more dependents."""
    timeout = getattr(job, "timeout", None)
    return job.weight, math.inf if timeout is None else timeout, dependents


@attrs.frozen
class Submit:
    """Hand these jobs to their backend."""

    backend: str
    nodes: Sequence[Node]


@attrs.frozen
class Kill:
    """Tell a backend to end these jobs."""

    backend: str
    ids: Sequence[str]
    by: str
    force: bool


Action = Submit | Kill


@attrs.frozen
class StatusChange:
    """A job went from one status to another, or (with `old` equal to `new`) there is news of where it waits or runs."""

    job: Any
    id: str
    old: JobStatus
    new: JobStatus
    at: float
    """When, in seconds of `trio.current_time`."""
    note: str | None = None
    event: JobCompletionEvent | None = None
    """The completion, when `new` is terminal."""


class _Backend:
    """What the plan knows of one backend."""

    def __init__(self, name: str, limit: int | None) -> None:
        self.name = name
        self.limit = math.inf if limit is None else limit
        self.in_flight: dict[str, Node] = {}
        self.heap: list[tuple[Key, int, ReadyQueue]] = []
        self._order = 0
        self.queues: dict[Request, ReadyQueue] = {}
        self.retry_at: float | None = None
        """When it is worth asking again, after it was busy."""
        self.delay = FIRST_DELAY
        self.window = math.inf
        """How many jobs may be on offer to it at once; finite after it was busy."""
        self.offered = 0
        """How many jobs it was offered and has neither accepted nor refused."""
        self.gone: JobStatusInfo | None = None

    def free(self) -> float:
        """Return how many jobs it may be given."""
        if self.retry_at is not None:
            return 0
        return min(self.limit - len(self.in_flight), self.window - self.offered)

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

    def park(self, queue: ReadyQueue) -> None:
        """Take out `queue`, which is the best."""
        heapq.heappop(self.heap)
        queue.entry = None


class Plan:
    """The state of a run, and every decision in it.

    Args:
        backends: name to the number of jobs that it may have at once, `None` for no limit.
        default_backend: for jobs that name none.
        max_parallelism: how many jobs may be in flight at once on all backends, `None` for no limit.
        resources: the limits.
        priority: replaces `default_priority`. What it raises, or a value that cannot be ordered, is logged once, and
            the default counts for that job.
        max_failures: after so many jobs that failed or were killed (not for a dependency, not by the caller) the run
            stops.
        busy_timeout: seconds for which a job may be refused, from the first time.
    """

    def __init__(
        self,
        backends: Mapping[str, int | None],
        default_backend: str,
        *,
        max_parallelism: int | None = None,
        resources: ResourcePool | None = None,
        priority: Priority | None = None,
        max_failures: int | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        self._graph = Graph()
        self._backends = {name: _Backend(name, limit) for name, limit in backends.items()}
        self._default = default_backend
        self._limit = math.inf if max_parallelism is None else max_parallelism
        self._pool = resources or ResourcePool()
        self._priority = priority
        self._max_failures = max_failures
        self._busy_timeout = busy_timeout
        self._in_flight = 0
        self._failures = 0
        self._stopped: tuple[str, bool, bool] | None = None
        self._waiting_for: dict[str, list[ReadyQueue]] = {}
        self._claims: dict[str, ReadyQueue] = {}
        self._grants: dict[str, int] = {}
        self._kills: list[Kill] = []
        self._new: list[Node] = []
        self.counts = dict.fromkeys(JobStatus, 0)
        """How many jobs are in each status."""
        self.unfinished = 0
        """How many jobs have not ended."""
        self.stray = 0
        """Events that were dropped, because they belong to no attempt in flight."""
        self.changes: list[StatusChange] | None = None
        """What changed since the listener last emptied it; `None` while nobody listens."""

    # ------------------------------------------------------------------ facts

    def add(self, jobs: Iterable[Any]) -> None:
        """There are more jobs. All of them are taken, or none; the next `decide` takes them in.

        Raises:
            GraphError: see `Graph.add`; or for a job whose backend is unknown.
            ResourceError: see `ResourcePool.check`.
        """
        jobs = list(jobs)
        requests = [self._checked_request(job) for job in jobs]
        nodes = self._graph.add(jobs)
        self.unfinished += len(nodes)
        self.counts[JobStatus.SCHEDULED] += len(nodes)
        for node, request in zip(nodes, requests, strict=True):
            node.queue = self._queue(node.job.backend or self._default, request)
        self._new += nodes

    def completed(self, event: JobCompletionEvent, now: float) -> None:
        """A backend says that a job ended."""
        node = self._graph.get(event.job_id)
        if node is None or not node.in_flight or node.attempt != event.attempt:
            self.stray += 1
            return
        if not event.status.is_terminal:
            event = attrs.evolve(
                event,
                status=JobStatus.KILLED,
                reason=JobStatusInfo(f"its backend completed it as {event.status}", kind=FailureKind.BACKEND_ERROR),
            )
        self._land(node)
        backend = node.queue.backend
        if backend.retry_at is not None:
            backend.retry_at = now  # what was busy may have a place now
        self._finish(node, event, now)

    def progressed(self, event: JobProgressEvent) -> None:
        """A backend says that a job moved between the queue and a machine."""
        node = self._graph.get(event.job_id)
        if node is None or not node.in_flight or node.attempt != event.attempt or event.status.is_terminal:
            self.stray += 1
            return
        node.started = event.at if event.status is JobStatus.RUNNING else None
        self._change(node, event.status, event.at, note=event.note)

    def submitted(self, nodes: Sequence[Node], accepted: Mapping[str, float | None], now: float) -> None:
        """A backend took some of these jobs (id to when it began to run, if it did) and refused the others.

        Args:
            nodes: what was handed over in this attempt; some may have completed since.
            accepted: an entry for each job that the backend accepted.
            now: the time of the answer.
        """
        if not nodes:
            return
        backend = nodes[0].queue.backend
        backend.offered -= len(nodes)
        refused = []
        for node in nodes:
            if node.id in accepted:
                node.busy_since = None
                started = accepted[node.id]
                if node.in_flight and started is not None and node.status is JobStatus.QUEUED:
                    node.started = started
                    self._change(node, JobStatus.RUNNING, started)
            elif node.in_flight:
                refused.append(node)
        if not refused:
            backend.delay = FIRST_DELAY
            backend.window *= 2
            return
        backend.retry_at = now + backend.delay
        backend.delay = min(2 * backend.delay, LONGEST_DELAY)
        backend.window = max(1, len(nodes) - len(refused))
        for node in reversed(refused):
            self._take_back(node, now)

    def launch_failed(self, nodes: Iterable[Node], message: str, now: float) -> None:
        """Handing these jobs over raised; what the backend knows of them was killed, and the rest ends here."""
        for node in nodes:
            node.queue.backend.offered -= 1
            if node.in_flight:
                self._land(node)
                self._end_early(node, FailureKind.LAUNCH_ERROR, message, now)

    def launching(self, nodes: Sequence[Node], now: float) -> list[Node]:
        """They are about to be handed over: return those that are still wanted."""
        wanted = []
        for node in nodes:
            if node.killed_by is None:
                wanted.append(node)
                continue
            node.queue.backend.offered -= 1
            if node.in_flight:
                self._land(node)
                self._end_early(node, FailureKind.CANCELLED, f"killed by {node.killed_by}", now)
        return wanted

    def backend_gone(self, name: str, message: str, now: float) -> None:
        """A backend's block has ended and nothing more comes from it: its jobs end here, other backends go on."""
        backend = self._backends[name]
        backend.gone = JobStatusInfo(message, kind=FailureKind.BACKEND_ERROR)
        for node in list(backend.in_flight.values()):
            self._land(node)
            if node.killed_by is not None:
                self._end_early(node, FailureKind.CANCELLED, f"killed by {node.killed_by}", now)
            else:
                self._end_early(node, FailureKind.BACKEND_ERROR, message, now)
        for node in self._graph:
            if node.event is None and node.queue.backend is backend:
                self._end_early(node, FailureKind.BACKEND_ERROR, message, now)

    def capacity_changed(self, resource: str, capacity: int) -> None:
        """A dynamic limit is now `capacity`."""
        if not self._pool.set_capacity(resource, capacity):
            return
        for queue in self._waiting_for.get(resource, ()):
            if queue.size and not self._pool.possible(queue.request):
                logger.warning(
                    "%d jobs wait for %s, and the limit of %s is now %d", queue.size, queue.request, resource, capacity
                )
                self._drop_claim(queue)
        self._wake(resource)

    def kill(self, ids: Iterable[str], by: str, now: float, *, force: bool = False) -> None:
        """Somebody wants these jobs to end. Ids of jobs that have ended are passed over.

        Raises:
            GraphError: if an id is unknown; then nothing is killed.
        """
        self._kill_nodes([self._graph.find(job_id) for job_id in ids], by, now, force=force)

    def stop(self, by: str, now: float, *, force: bool = False, drain: bool = False) -> None:
        """Nothing new starts. What is in flight is killed, or with `drain` runs on; a harder stop overrides a softer
        one.
        """
        self._stopped = (by, force, drain)
        nodes = [node for node in self._graph if node.event is None]
        self._kill_nodes([node for node in nodes if not node.in_flight or not drain], by, now, force=force)

    def finish(self, message: str, now: float) -> None:
        """The run is over whatever happened: every job that has no result gets one."""
        for node in self._graph:
            if node.event is None:
                if node.in_flight:
                    self._land(node)
                self._end_early(node, FailureKind.CANCELLED, message, now)

    # ------------------------------------------------------------------ decisions

    def decide(self, now: float) -> list[Action]:
        """Return what is to be done now; it counts as done."""
        actions: list[Action] = []
        if self._new:
            self._take_in(now)
        if self._kills:
            actions.extend(self._kills)
            self._kills = []
        for backend in self._backends.values():
            if backend.retry_at is not None and backend.retry_at <= now:
                backend.retry_at = None
        chosen: dict[str, list[Node]] = {}
        room = self._limit - self._in_flight
        if room > 0 and self._stopped is None:
            candidates = [backend for backend in self._backends.values() if backend.heap and backend.free() > 0]
            while candidates and room > 0:
                backend = candidates[0] if len(candidates) == 1 else min(candidates, key=_head_of)
                nodes = self._choose(backend, room if len(candidates) == 1 else 1)
                if nodes:
                    chosen.setdefault(backend.name, []).extend(nodes)
                    room -= len(nodes)
                if not nodes or not backend.heap or backend.free() <= 0:
                    candidates.remove(backend)
        actions.extend(Submit(name, nodes) for name, nodes in chosen.items())
        return actions

    def retry_at(self, backend: str) -> float:
        """Return when `decide` is worth asking again because this backend was busy; `math.inf` for never."""
        retry_at = self._backends[backend].retry_at
        return math.inf if retry_at is None else retry_at

    def results(self) -> list[tuple[Any, JobCompletionEvent | None]]:
        """Return each job with the event of its end, in the order given."""
        return [(node.job, node.event) for node in self._graph]

    @property
    def in_flight(self) -> int:
        """How many jobs are in flight."""
        return self._in_flight

    def usage(self) -> dict[str, tuple[int, int | None]]:
        """Return, for each resource, how much is held, and its limit."""
        return self._pool.usage()

    # ------------------------------------------------------------------ choosing

    def _choose(self, backend: _Backend, most: float) -> list[Node]:
        """Take up to `most` jobs of `backend`, best first, and put them in flight."""
        nodes: list[Node] = []
        free = min(most, backend.free())
        while len(nodes) < free and (queue := backend.best()) is not None:
            if queue.request and (lacking := self._lacking(queue)) is not None:
                backend.park(queue)
                self._wait(queue, lacking)
            else:
                nodes.append(self._take_off(queue))
        return nodes

    def _take_off(self, queue: ReadyQueue) -> Node:
        """Put the head of `queue` in flight."""
        node = queue.pop()
        node.in_flight = True
        node.attempt = max(1, node.attempt)
        queue.backend.in_flight[node.id] = node
        queue.backend.offered += 1
        self._in_flight += 1
        if queue.request:
            self._pool.take(queue.request)
            for name, _ in queue.request:
                self._grants[name] = self._grants.get(name, 0) + 1
            self._drop_claim(queue)
        return node

    def _land(self, node: Node) -> None:
        """The job is no longer in flight: what it held is free."""
        queue = node.queue
        node.in_flight = False
        del queue.backend.in_flight[node.id]
        self._in_flight -= 1
        if queue.request:
            self._pool.release(queue.request)
            for name, _ in queue.request:
                self._wake(name)

    def _take_back(self, node: Node, now: float) -> None:
        """Its backend refused the job: it is ready again, unless it was killed or has been refused for too long."""
        self._land(node)
        if node.busy_since is None:
            node.busy_since = now
        if node.killed_by is not None:
            self._end_early(node, FailureKind.CANCELLED, f"killed by {node.killed_by}", now)
        elif self._stopped is not None:
            self._end_early(node, FailureKind.CANCELLED, f"killed by {self._stopped[0]}", now)
        elif now - node.busy_since >= self._busy_timeout:
            waited = now - node.busy_since
            message = f"its backend {node.queue.backend.name!r} has been busy for {waited:g} s"
            self._end_early(node, FailureKind.BUSY, message, now)
        else:
            self._enqueue(node, front=True)

    def _enqueue(self, node: Node, *, front: bool = False) -> None:
        queue = node.queue
        if queue.push(node, self._priority_of(node), front=front) and queue.waits_for is None:
            queue.backend.offer(queue)

    def _priority_of(self, node: Node) -> Any:
        if self._priority is not None:
            try:
                priority = self._priority(node.job, len(node.dependents))
                hash(priority)
                if priority == priority and (priority < priority) is False:  # noqa: PLR0124 - what NaN and its like fail
                    return priority
                msg = f"{priority!r} cannot be ordered"
                raise ValueError(msg)
            except Exception:
                logger.exception(
                    "the priority function failed for job %r; the default priority is used from now on", node.id
                )
                self._priority = None
                self._requeue_all()
        return default_priority(node.job, len(node.dependents))

    def _requeue_all(self) -> None:
        """Put all ready jobs in anew, so that no queue holds priorities of two kinds."""
        for backend in self._backends.values():
            backend.heap.clear()
            for queue in backend.queues.values():
                queue.entry = None
                for node in queue.drain():
                    self._enqueue(node)

    # ------------------------------------------------------------------ resources

    def _lacking(self, queue: ReadyQueue) -> str | None:
        """Return the resource that the head of `queue` cannot have now, be it used up or claimed by another."""
        if self._claims:
            for name, _ in queue.request:
                if self._claims.get(name, queue) is not queue:
                    return name
        return self._pool.lacking(queue.request)

    def _wait(self, queue: ReadyQueue, resource: str) -> None:
        """Let `queue` wait for `resource`; once others got what it asks for too often, it claims that."""
        queue.waits_for = resource
        self._waiting_for.setdefault(resource, []).append(queue)
        granted = sum(self._grants.get(name, 0) for name, _ in queue.request)
        if queue.waiting_since is None:
            queue.waiting_since = granted
        elif granted - queue.waiting_since >= PATIENCE:
            self._claim(queue)

    def _claim(self, queue: ReadyQueue) -> None:
        if self._pool.possible(queue.request) and not any(name in self._claims for name, _ in queue.request):
            self._claims.update((name, queue) for name, _ in queue.request)

    def _wake(self, resource: str) -> None:
        """Some of `resource` is free: whoever waits for it may be looked at again."""
        for queue in self._waiting_for.pop(resource, ()):
            queue.waits_for = None
            if queue.size:
                queue.backend.offer(queue)

    def _drop_claim(self, queue: ReadyQueue) -> None:
        """`queue` got what it claims, or cannot have it, or wants nothing any more."""
        queue.waiting_since = None
        for name, _ in queue.request:
            if self._claims.get(name) is queue:
                del self._claims[name]
                self._wake(name)

    # ------------------------------------------------------------------ the life of a job

    def _checked_request(self, job: Any) -> Request:
        name = job.backend or self._default
        backend = self._backends.get(name)
        if backend is None:
            msg = f"job {job.id!r} wants backend {name!r}; this run has: {', '.join(sorted(self._backends))}"
            raise GraphError(msg)
        request = request_of(job)
        if request:
            self._pool.check(request, job.id)
        return request

    def _queue(self, name: str, request: Request) -> ReadyQueue:
        backend = self._backends[name]
        queue = backend.queues.get(request)
        if queue is None:
            queue = backend.queues[request] = ReadyQueue(backend, request)
        return queue

    def _take_in(self, now: float) -> None:
        """Let new jobs wait, be ready, or end at once."""
        nodes, self._new = self._new, []
        for node in nodes:
            if node.job.dependencies:
                self._count_ended_dependencies(node, now)
        for node in nodes:
            if self._stopped is not None:
                self._end_early(node, FailureKind.CANCELLED, f"killed by {self._stopped[0]}", now)
            elif node.waiting == 0 and node.status is JobStatus.SCHEDULED:
                self._make_ready(node, now)

    def _count_ended_dependencies(self, node: Node, now: float) -> None:
        """Take into account what ended before `node` was added."""
        ended = [other for other in map(self._graph.find, node.job.dependencies) if other.event is not None]
        if not ended or node.event is not None:
            return
        failed = [other for other in ended if other.status is not JobStatus.PASSED]
        node.passed = len(ended) - len(failed)
        if failed and (node.needs_all or not (node.passed or node.waiting)):
            self._finish(node, self._end_for_dependency(node, failed[-1], now), now)

    def _make_ready(self, node: Node, now: float) -> None:
        if (gone := node.queue.backend.gone) is not None:
            self._end_early(node, FailureKind.BACKEND_ERROR, gone.message, now)
            return
        self._change(node, JobStatus.QUEUED, now)
        self._enqueue(node)

    def _finish(self, node: Node, event: JobCompletionEvent, now: float) -> None:
        """Record the end of `node`, and what follows from it for all who wait for it, however deep."""
        ended = deque([(node, event)])
        while ended:
            node, event = ended.popleft()
            node.event = event
            self.unfinished -= 1
            self._change(node, event.status, event.ended, event=event)
            if node.ready:
                self._forget(node)
            passed = event.status is JobStatus.PASSED
            if not passed:
                self._count_failure(event)
            for dependent in node.dependents:
                if dependent.event is not None:
                    continue
                dependent.waiting -= 1
                dependent.passed += passed
                if (dependent.needs_all and not passed) or not (dependent.waiting or dependent.passed):
                    dependent.event = self._end_for_dependency(dependent, node, now)
                    ended.append((dependent, dependent.event))
                elif dependent.waiting == 0:
                    self._make_ready(dependent, now)
        if self._max_failures is not None and self._failures >= self._max_failures and self._stopped is None:
            self.stop(f"the limit of {self._max_failures} failures", now)

    def _forget(self, node: Node) -> None:
        queue = node.queue
        queue.forget(node)
        if not queue.size:
            self._drop_claim(queue)

    def _end_for_dependency(self, node: Node, dependency: Node, now: float) -> JobCompletionEvent:
        """Return the end of `node`, which can never run now that `dependency` has ended."""
        if self._stopped is not None:
            return _never_ran(node, FailureKind.CANCELLED, f"killed by {self._stopped[0]}", now)
        if node.needs_all:
            message = f"it needs {dependency.id!r}, which ended as {dependency.status.name}"
        else:
            message = f"none of its dependencies passed; the last was {dependency.id!r}"
        return _never_ran(node, FailureKind.DEPENDENCY, message, now)

    def _end_early(self, node: Node, kind: FailureKind, message: str, now: float) -> None:
        """End a job that is not in flight, and has not ended."""
        if node.event is None:
            self._finish(node, _never_ran(node, kind, message, now), now)

    def _count_failure(self, event: JobCompletionEvent) -> None:
        kind = None if event.reason is None else event.reason.kind
        self._failures += kind not in (FailureKind.DEPENDENCY, FailureKind.CANCELLED)

    def _kill_nodes(self, nodes: Iterable[Node], by: str, now: float, *, force: bool) -> None:
        in_flight: dict[str, list[str]] = {}
        for node in nodes:
            if node.event is not None:
                continue
            if node.in_flight:
                node.killed_by = node.killed_by or by
                in_flight.setdefault(node.queue.backend.name, []).append(node.id)
            else:
                self._end_early(node, FailureKind.CANCELLED, f"killed by {by}", now)
        self._kills.extend(Kill(name, ids, by, force) for name, ids in in_flight.items())

    def _change(
        self, node: Node, new: JobStatus, at: float, *, note: str | None = None, event: JobCompletionEvent | None = None
    ) -> None:
        old = node.status
        if new is not old:
            node.status = check_move(old, new)
            self.counts[old] -= 1
            self.counts[new] += 1
        if self.changes is not None:
            self.changes.append(StatusChange(node.job, node.id, old, new, at, note, event))

    def sanity_check(self) -> None:
        """Check every invariant; for tests.

        Raises:
            AssertionError: if one does not hold.
        """
        nodes = list(self._graph)
        assert sum(self.counts.values()) == len(nodes)
        assert self.unfinished == sum(node.event is None for node in nodes)
        flying = [node for node in nodes if node.in_flight]
        assert self._in_flight == len(flying) <= self._limit
        held: dict[str, int] = {}
        for node in nodes:
            assert (node.event is not None) == node.status.is_terminal, node
            assert not (node.in_flight and node.event is not None), node
            if node.in_flight:
                assert node.queue.backend.in_flight[node.id] is node
                for name, amount in node.queue.request:
                    held[name] = held.get(name, 0) + (amount if amount is not None else self._pool.held(name))
            if node.event is None:
                waiting = sum(self._graph.find(other).event is None for other in dict.fromkeys(node.job.dependencies))
                assert node.waiting == waiting, node
                assert (node.waiting > 0 or node in self._new) == (node.status is JobStatus.SCHEDULED), node
        for name, (amount, _) in self._pool.usage().items():
            assert amount == held.get(name, 0), name
        for backend in self._backends.values():
            assert len(backend.in_flight) <= backend.limit
            for queue in backend.queues.values():
                ready = [
                    node
                    for node in nodes
                    if node.queue is queue and node.status is JobStatus.QUEUED and not node.in_flight
                ]
                assert queue.size == len(ready), queue
                in_heap = queue.entry is not None and any(entry[0] is queue.entry for entry in backend.heap)
                assert not ready or in_heap or queue.waits_for is not None, queue


def _head_of(backend: _Backend) -> tuple[bool, Any]:
    queue = backend.best(exact=True)
    return (True, 0) if queue is None else (False, queue.entry)


def _never_ran(node: Node, kind: FailureKind, message: str, now: float) -> JobCompletionEvent:
    reason = JobStatusInfo(message, kind=kind)
    return JobCompletionEvent(node.id, node.attempt, kind.status, reason, now, node.started, now)
