"""`Plan`: decides what runs next. Facts go in, actions come out; there is no I/O, no clock and no task here.

::

    add, received, submitted, ... ──► Plan ──► decide() ──► Submit, Kill
                                       └────► changes (who listens is not the plan's matter)

The shell (`runtime.scheduler.run`) reports each fact with the time at which it happened, then asks `decide` and
does what it says. From `Submit` until its completion, or until its backend refuses it, a job is *in flight*: it
holds a slot of its backend, one of the run, and its resources.

How a job is chosen: of each backend that may be given more (`backlog`) the best head, unless it lacks a resource;
then its queue waits at that resource (`arbiter`), and nobody is looked at twice.

Facts come in batches, and what is done for each job of a batch is written out in one loop (`received`, `_settle`,
`_queue_up`): a run of 100,000 jobs that do nothing spends half its time here, and a call costs as much as what it does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.errors import GraphError
from runtime.job import (
    EventBatch,
    FailureKind,
    JobCompletionEvent,
    JobHandle,
    JobProgressEvent,
    JobResult,
    JobStatus,
    JobStatusInfo,
    check_move,
)
from runtime.job.drafts import make_results
from runtime.job.status import KILLED, PASSED, QUEUED, RUNNING, SCHEDULED, TERMINAL
from runtime.scheduler.actions import Action, Kill, StatusChange, Submit
from runtime.scheduler.arbiter import Arbiter
from runtime.scheduler.backlog import Backlog
from runtime.scheduler.graph import IN_FLIGHT, NOWHERE, READY, Graph, Node
from runtime.scheduler.ready import ReadyQueue
from runtime.scheduler.resources import ResourcePool, request_of

logger: Final = logging.getLogger("runtime.scheduler")

BUSY_TIMEOUT: Final = 6 * 3600.0
"""Seconds after which a job that is refused again and again is given up. Arbitrary: most of a night."""

_FOREVER: Final = math.inf

Priority = Callable[[Any, int], Any]
"""From a job and the number of jobs that wait for it to something that can be compared and hashed; larger goes
first.
"""


def default_priority(job: Any, dependents: int) -> tuple[float, float, int]:
    """Heavier first, then the longer timeout (none is the longest), then who has more dependents.

    A foreign job may have `timeout_secs` instead of `timeout`.
    """
    try:
        timeout = job.timeout
    except AttributeError:
        timeout = getattr(job, "timeout_secs", None)
    return job.weight, _FOREVER if timeout is None else timeout, dependents


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
        batches: name of a backend to the number of jobs that may be on offer to it at once; no limit where it says
            nothing.
        provided: name of a backend to the resources that it sees to itself: of its jobs, they are counted here only if
            they have a limit here.
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
        batches: Mapping[str, int | None] | None = None,
        provided: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._graph = Graph()
        batches = batches or {}
        self._provided = provided or {}
        self._backends = {name: Backlog(name, limit, batches.get(name)) for name, limit in backends.items()}
        self._default = default_backend
        self._limit = math.inf if max_parallelism is None else max_parallelism
        self._arbiter = Arbiter(resources or ResourcePool())
        self._priority = priority
        self._sample: Any = None
        self._max_failures = max_failures
        self._busy_timeout = busy_timeout
        self._in_flight = 0
        self._failures = 0
        self._stopped: tuple[str, bool, bool] | None = None
        self._kills: list[Kill] = []
        self._killed_by: dict[str, str] = {}
        """Of jobs in flight that somebody wants to end: who does."""
        self._busy_since: dict[str, float] = {}
        """Of jobs that their backend refused: since when."""
        self._new: list[Node] = []
        self.counts = dict.fromkeys(JobStatus, 0)
        """How many jobs are in each status."""
        self.unfinished = 0
        """How many jobs have not ended."""
        self.never_ran = 0
        """How many jobs ended before they began to run."""
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
        plain = self._backends[self._default].plain
        queues = [plain if not (job.backend or job.resources) else self._queue_of(job) for job in jobs]
        nodes = self._graph.add(jobs)
        self.unfinished += len(nodes)
        self.counts[SCHEDULED] += len(nodes)
        for node, queue in zip(nodes, queues, strict=True):
            node.queue = queue
        self._new += nodes

    def received(self, batch: EventBatch, now: float) -> int:
        """A backend says what became of its jobs: some moved between the queue and a machine, some ended.

        Returns:
            How many of these events are completions.
        """
        find = self._graph.get
        progress = 0
        ended: list[Node] = []
        for event in batch:
            if isinstance(event, JobProgressEvent):
                progress += 1
                self._progressed(event)
                continue
            node = find(event.job_id)
            if node is None or node.place is not IN_FLIGHT or node.attempt != event.attempt or node.event is not None:
                self.stray += 1
            else:
                node.event = event if event.status in TERMINAL else _not_an_end(event)
                ended.append(node)
        self._land(ended)
        for backend in self._backends.values():
            if backend.retry_at is not None and any(node.queue.backend is backend for node in ended):
                backend.retry_at = now  # what was busy may have a place now
        self._settle(ended, now)
        return len(batch) - progress

    def _progressed(self, event: JobProgressEvent) -> None:
        node = self._graph.get(event.job_id)
        if node is None or node.place is not IN_FLIGHT or node.attempt != event.attempt or event.status in TERMINAL:
            self.stray += 1
            return
        node.started = event.at if event.status is RUNNING else None
        self._change(node, event.status, event.at, note=event.note)

    def submitted(
        self, nodes: Sequence[Node], accepted: Mapping[str, JobHandle], now: float, busy_because: str = ""
    ) -> None:
        """A backend took some of these jobs and refused the others.

        Args:
            nodes: what was handed over in this attempt; some may have completed since.
            accepted: id to handle, for each job that the backend accepted.
            now: the time of the answer.
            busy_because: why it refused some, if it did and if that is known.
        """
        if not nodes:
            return
        refused = []
        running = 0
        for node in nodes:
            if node.place is not IN_FLIGHT:
                continue  # it has completed
            handle = accepted.get(node.id)
            if handle is None:
                refused.append(node)
            elif handle.started is not None and node.status is QUEUED:
                node.started = handle.started
                if self.changes is not None:
                    self._change(node, RUNNING, handle.started)
                else:
                    node.status = RUNNING
                    running += 1
        self.counts[QUEUED] -= running
        self.counts[RUNNING] += running
        nodes[0].queue.backend.answered(len(nodes) - len(refused), len(refused), now)
        for node in reversed(refused):
            self._take_back(node, now, busy_because)

    def launch_failed(self, nodes: Iterable[Node], message: str, now: float) -> None:
        """Handing these jobs over raised; what the backend knows of them was killed, and the rest ends here."""
        for node in nodes:
            node.queue.backend.offered -= 1
            if node.place is IN_FLIGHT:
                self._land([node])
                self._end_early(node, FailureKind.LAUNCH_ERROR, message, now)

    def launching(self, nodes: Sequence[Node], now: float) -> list[Node]:
        """They are about to be handed over: return those that are still wanted."""
        killed = [node for node in nodes if node.id in self._killed_by] if self._killed_by else []
        for node in killed:
            node.queue.backend.offered -= 1
            if node.place is IN_FLIGHT:
                self._land([node])
                self._end_early(node, FailureKind.CANCELLED, f"killed by {self._killed_by[node.id]}", now)
        return [node for node in nodes if node.id not in self._killed_by] if killed else list(nodes)

    def backend_gone(self, name: str, message: str, now: float) -> None:
        """A backend's block has ended and nothing more comes from it: its jobs end here, other backends go on."""
        backend = self._backends[name]
        backend.gone = JobStatusInfo(message, kind=FailureKind.BACKEND_ERROR)
        for node in self._graph:
            if node.place is not IN_FLIGHT or node.queue.backend is not backend:
                continue
            self._land([node])
            if node.id in self._killed_by:
                self._end_early(node, FailureKind.CANCELLED, f"killed by {self._killed_by[node.id]}", now)
            else:
                self._end_early(node, FailureKind.BACKEND_ERROR, message, now)
        for node in self._graph:
            if node.event is None and node.queue.backend is backend:
                self._end_early(node, FailureKind.BACKEND_ERROR, message, now)

    def capacity_changed(self, resource: str, capacity: int) -> None:
        """A dynamic limit is now `capacity`."""
        self._arbiter.capacity_changed(resource, capacity)

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
        self._kill_nodes([node for node in nodes if node.place is not IN_FLIGHT or not drain], by, now, force=force)

    def finish(self, message: str, now: float) -> None:
        """The run is over whatever happened: every job that has no result gets one."""
        for node in self._graph:
            if node.event is None:
                if node.place is IN_FLIGHT:
                    self._land([node])
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

    def results(self) -> list[JobResult]:
        """Return the result of each job that has ended, in the order given."""
        return make_results(self._graph)

    @property
    def in_flight(self) -> int:
        """How many jobs are in flight."""
        return self._in_flight

    def usage(self) -> dict[str, tuple[int, int | None]]:
        """Return, for each resource, how much is held, and its limit."""
        return self._arbiter.pool.usage()

    # ------------------------------------------------------------------ choosing

    def _choose(self, backend: Backlog, most: float) -> list[Node]:
        """Take up to `most` jobs of `backend`, best first, and put them in flight."""
        nodes: list[Node] = []
        free = min(most, backend.free())
        while len(nodes) < free and (queue := backend.best()) is not None:
            if queue.request and (lacking := self._arbiter.lacking(queue)) is not None:
                backend.park(queue)
                self._arbiter.wait(queue, lacking)
            elif queue.request:
                nodes.append(queue.pop())
                self._arbiter.take(queue)
            else:
                nodes += queue.take(free - len(nodes) if len(backend.heap) == 1 else 1)
        for node in nodes:
            node.place = IN_FLIGHT
            node.attempt = node.attempt or 1
        backend.in_flight += len(nodes)
        backend.offered += len(nodes)
        self._in_flight += len(nodes)
        return nodes

    def _land(self, nodes: Sequence[Node]) -> None:
        """These jobs are no longer in flight: what they held is free."""
        self._in_flight -= len(nodes)
        for node in nodes:
            queue = node.queue
            node.place = NOWHERE
            queue.backend.in_flight -= 1
            if queue.request:
                self._arbiter.release(queue.request)

    def _take_back(self, node: Node, now: float, busy_because: str) -> None:
        """Its backend refused the job: it is ready again, unless it was killed or has been refused for too long."""
        self._land([node])
        waited = now - self._busy_since.setdefault(node.id, now)
        if node.id in self._killed_by:
            self._end_early(node, FailureKind.CANCELLED, f"killed by {self._killed_by[node.id]}", now)
        elif self._stopped is not None:
            self._end_early(node, FailureKind.CANCELLED, f"killed by {self._stopped[0]}", now)
        elif waited >= self._busy_timeout:
            why = f": {busy_because}" if busy_because else ""
            message = f"its backend {node.queue.backend.name!r} has been busy for {waited:g} s{why}"
            self._end_early(node, FailureKind.BUSY, message, now)
        else:
            self._enqueue([node], front=True)

    def _enqueue(self, nodes: Iterable[Node], *, front: bool = False) -> None:
        for node in nodes:
            queue = node.queue
            if self._priority is None:
                priority: Any = default_priority(node.job, len(node.dependents))
            else:
                priority = self._priority_of(node, self._priority)
            if queue.push(node, priority, front) and queue.waits_for is None:
                queue.backend.offer(queue)

    def _priority_of(self, node: Node, function: Priority) -> Any:
        try:
            return self._checked_priority(function(node.job, len(node.dependents)))
        except Exception:
            logger.exception(
                "the priority function failed for job %r; the default priority is used from now on", node.id
            )
            self._priority = None
            self._requeue_all()
            return default_priority(node.job, len(node.dependents))

    def _checked_priority(self, priority: Any) -> Any:
        """Return `priority` if it can stand in a queue: it can be hashed and ordered, and is unlike NaN."""
        hash(priority)
        if self._sample is None:
            self._sample = priority
        is_unlike_itself = priority != priority  # noqa: PLR0124 - as NaN is, and whatever else orders nothing
        if is_unlike_itself or (priority < self._sample) is (priority >= self._sample):
            msg = f"{priority!r} cannot be ordered"
            raise ValueError(msg)
        return priority

    def _requeue_all(self) -> None:
        """Put all ready jobs in anew, so that no queue holds priorities of two kinds."""
        for backend in self._backends.values():
            self._enqueue(backend.drain())

    # ------------------------------------------------------------------ the life of a job

    def _queue_of(self, job: Any) -> ReadyQueue:
        """Return the queue that `job` belongs to; its backend is known, and what it asks for can be granted."""
        name = job.backend or self._default
        backend = self._backends.get(name)
        if backend is None:
            msg = f"job {job.id!r} wants backend {name!r}; this run has: {', '.join(sorted(self._backends))}"
            raise GraphError(msg)
        if not job.resources:
            return backend.plain
        pool = self._arbiter.pool
        elsewhere = self._provided.get(name, ())
        request = tuple(each for each in request_of(job) if each[0] not in elsewhere or pool.has_limit(each[0]))
        if not request:
            return backend.plain
        pool.check(request, job.id)
        return backend.queue(request)

    def _take_in(self, now: float) -> None:
        """Let new jobs wait, be ready, or end at once."""
        nodes, self._new = self._new, []
        if self.unfinished < len(self._graph):
            for node in nodes:
                if node.job.dependencies:
                    self._count_ended_dependencies(node, now)
        if self._stopped is not None:
            for node in nodes:
                self._end_early(node, FailureKind.CANCELLED, f"killed by {self._stopped[0]}", now)
        else:
            self._queue_up([node for node in nodes if node.waiting == 0 and node.status is SCHEDULED], now)

    def _count_ended_dependencies(self, node: Node, now: float) -> None:
        """Take into account what ended before `node` was added."""
        ended = [other for other in map(self._graph.find, node.job.dependencies) if other.event is not None]
        if not ended or node.event is not None:
            return
        failed = [other for other in ended if other.status is not PASSED]
        node.passed = len(ended) - len(failed)
        if failed and (event := self._end_without_run(node, failed[-1], now)) is not None:
            node.event = event
            self._settle([node], now)

    def _queue_up(self, nodes: Sequence[Node], now: float) -> None:
        """Let `nodes`, which wait for no other job any more, wait for their backends."""
        if any(backend.gone is not None for backend in self._backends.values()):
            for node in nodes:
                gone = node.queue.backend.gone
                if gone is not None:
                    self._end_early(node, FailureKind.BACKEND_ERROR, gone.message, now)
            nodes = [node for node in nodes if node.event is None]  # the others' ends may have stopped the run
        if self.changes is not None:
            for node in nodes:
                self._change(node, QUEUED, now)
        else:
            for node in nodes:
                node.status = QUEUED
            self.counts[SCHEDULED] -= len(nodes)
            self.counts[QUEUED] += len(nodes)
        self._enqueue(nodes)

    def _settle(self, ended: list[Node], now: float) -> None:
        """Record the ends of these jobs (their events are set), and what follows for all who wait for them, however
        deep.
        """
        counts, watched = self.counts, self.changes is not None
        ready: list[Node] = []
        for done in ended:  # which grows meanwhile
            end = done.event
            assert end is not None
            status = end.status
            self.unfinished -= 1
            if watched:
                self._change(done, status, end.ended, event=end)
            else:
                counts[done.status] -= 1
                counts[status] += 1
                done.status = status
            if done.place is READY:
                self._forget(done)
            passed = status is PASSED
            if not passed:
                self._count_failure(end)
            for dependent in done.dependents:
                if dependent.event is not None:
                    continue
                dependent.waiting -= 1
                dependent.passed += passed
                if not passed and (event := self._end_without_run(dependent, done, now)) is not None:
                    dependent.event = event
                    ended.append(dependent)
                elif dependent.waiting == 0:
                    ready.append(dependent)
        self._queue_up(ready, now)
        if self._max_failures is not None and self._failures >= self._max_failures and self._stopped is None:
            count = self._max_failures
            self.stop(f"the limit of {count} failure{'' if count == 1 else 's'}", now)

    def _forget(self, node: Node) -> None:
        queue = node.queue
        queue.forget(node)
        if not queue.size:
            self._arbiter.drop(queue)

    def _end_without_run(self, node: Node, dependency: Node, now: float) -> JobCompletionEvent | None:
        """Return the end of `node` if it can never run, now that `dependency` has ended and not passed; else `None`."""
        if node.run_if != "passed" and node.waiting:
            return None
        if self._stopped is not None:
            return _never_ran(node, FailureKind.CANCELLED, f"killed by {self._stopped[0]}", now)
        if node.run_if == "passed":
            message = f"it needs {dependency.id!r}, which ended as {dependency.status.name}"
        elif node.run_if == "any-passed" and not node.passed:
            message = f"none of its dependencies passed; the last was {dependency.id!r}"
        elif (gone := node.queue.backend.gone) is not None:
            # Here, and not only when it is queued: a chain of jobs that run however others end is no recursion.
            return _never_ran(node, FailureKind.BACKEND_ERROR, gone.message, now)
        else:
            return None
        return _never_ran(node, FailureKind.DEPENDENCY, message, now)

    def _end_early(self, node: Node, kind: FailureKind, message: str, now: float) -> None:
        """End a job that is not in flight, and has not ended."""
        if node.event is None:
            node.event = _never_ran(node, kind, message, now)
            self._settle([node], now)

    def _count_failure(self, event: JobCompletionEvent) -> None:
        self.never_ran += event.never_ran
        kind = None if event.reason is None else event.reason.kind
        self._failures += kind not in (FailureKind.DEPENDENCY, FailureKind.CANCELLED)

    def _kill_nodes(self, nodes: Iterable[Node], by: str, now: float, *, force: bool) -> None:
        in_flight: dict[str, list[str]] = {}
        for node in nodes:
            if node.event is not None:
                continue
            if node.place is IN_FLIGHT:
                self._killed_by.setdefault(node.id, by)
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


def _head_of(backend: Backlog) -> tuple[bool, Any]:
    queue = backend.best(exact=True)
    return (True, 0) if queue is None else (False, queue.entry)


def _not_an_end(event: JobCompletionEvent) -> JobCompletionEvent:
    reason = JobStatusInfo(f"its backend completed it as {event.status}", kind=FailureKind.BACKEND_ERROR)
    return attrs.evolve(event, status=KILLED, reason=reason)


def _never_ran(node: Node, kind: FailureKind, message: str, now: float) -> JobCompletionEvent:
    reason = JobStatusInfo(message, kind=kind)
    return JobCompletionEvent(node.id, node.attempt, kind.status, reason, now, node.started, now)
