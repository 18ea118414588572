"""`Plan`: decides what runs next. Facts go in, actions come out; it has no I/O, no clock and no task.

::

    add, received, submitted, ... ──► Plan ──► decide() ──► Submit, Kill
                                       └────► changes (for watchers)

The shell (`runtime.scheduler.run`) reports each fact with the time at which it happened, then calls `decide` and
carries out the actions. From `Submit` until its completion, or until its backend refuses it, a job is *in flight*: it
holds a slot of its backend, one of the run, and its resources.

How a job is chosen: of the backends that may be given more (`backlog`), the one with the best head. If that head lacks
a resource, its queue waits for that resource (`arbiter`), and is not looked at again until some of it is released.

Facts come in batches, and the work for each job of a batch is written out in one loop (`received`, `_complete`,
`_make_ready`): a run of 100,000 jobs that do nothing spends half its time here, and in Python a call costs as much as
what it does.
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
"""Seconds after which a job that its backend keeps refusing is killed. Arbitrary: most of a night. Ten times longer, a
backend that is broken and says that it is busy would hold up a run over a weekend; ten times shorter, jobs would be
killed because a farm is full for half an hour."""

_FOREVER: Final = math.inf

Priority = Callable[[Any, int], Any]
"""Maps a job and the number of its dependents to something that can be ordered and hashed; larger goes first."""


def default_priority(job: Any, dependents: int) -> tuple[float, float, int]:
    """Return the default priority: weight, then timeout (none is the longest), then the number of dependents.

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
        max_failures: the run stops after so many jobs that failed or were killed, not counting those that ended
            because of a dependency or were killed by the caller.
        busy_timeout: seconds, from the first refusal, after which a job that is still refused is killed.
        batches: name of a backend to the number of jobs that may be offered to it at once; `None`, or no entry, for no
            limit.
        provided: name of a backend to the resources that it requests itself, as a batch system does. For its jobs they
            are counted only if `resources` has a limit for them.
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
        """The first priority that `priority` returned; all others must be comparable with it."""
        self._max_failures = max_failures
        self._busy_timeout = busy_timeout
        self._in_flight = 0
        self._failures = 0
        self._stopped: tuple[str, bool, bool] | None = None
        """The arguments `by`, `force` and `drain` of the last `stop`."""
        self._kills: list[Kill] = []
        """Actions for the next `decide`."""
        self._killed_by: dict[str, str] = {}
        """By id of a job that is killed while in flight: who asked for it."""
        self._busy_since: dict[str, float] = {}
        """By id of a job that its backend refused: when it did first."""
        self._new: list[Node] = []
        """Jobs that were added since the last `decide`."""
        self.counts = dict.fromkeys(JobStatus, 0)
        """How many jobs are in each status."""
        self.unfinished = 0
        """How many jobs have not ended."""
        self.never_ran = 0
        """How many jobs ended before they began to run."""
        self.stray = 0
        """Events that were dropped, because they belong to no attempt in flight."""
        self.changes: list[StatusChange] | None = None
        """Changes since the listener last emptied it; `None` while there is no listener, to save making them."""

    # ------------------------------------------------------------------ facts

    def add(self, jobs: Iterable[Any]) -> None:
        """Add jobs: all of them, or none. The next `decide` looks at them.

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
        """Take in events of a backend: jobs that began to run, or wait again, and completions.

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
            # `node.event` is set, with its place unchanged, if an earlier event of this batch completed it.
            if node is None or node.place is not IN_FLIGHT or node.attempt != event.attempt or node.event is not None:
                self.stray += 1
            else:
                node.event = event if event.status in TERMINAL else _not_an_end(event)
                ended.append(node)
        self._release(ended)
        for backend in self._backends.values():
            if backend.retry_at is not None and any(node.queue.backend is backend for node in ended):
                backend.retry_at = now  # a slot is free: do not wait for the end of the delay
        self._complete(ended, now)
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
        """Take in the answer to a submission: the backend accepted some of these jobs, and refused the others.

        Args:
            nodes: the jobs of the submission; some may have completed since.
            accepted: id to handle, for each job that the backend accepted.
            now: the time of the answer.
            busy_because: why it refused some, if it did and the reason is known.
        """
        if not nodes:
            return
        refused = []
        running = 0
        for node in nodes:
            if node.place is not IN_FLIGHT:
                continue  # its completion overtook the answer
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
        # Each is put in front of its queue, so the last must be the first.
        for node in reversed(refused):
            self._requeue_refused(node, now, busy_because)

    def launch_failed(self, nodes: Iterable[Node], message: str, now: float) -> None:
        """End these jobs, whose submission raised; the backend has killed those that it had accepted already."""
        for node in nodes:
            node.queue.backend.offered -= 1
            if node.place is IN_FLIGHT:
                self._release([node])
                self._end_early(node, FailureKind.LAUNCH_ERROR, message, now)

    def launching(self, nodes: Sequence[Node], now: float) -> list[Node]:
        """Return those of these jobs that are still to be submitted; end the others, which were killed meanwhile."""
        killed = [node for node in nodes if node.id in self._killed_by] if self._killed_by else []
        for node in killed:
            node.queue.backend.offered -= 1
            if node.place is IN_FLIGHT:
                self._release([node])
                self._end_early(node, FailureKind.CANCELLED, f"killed by {self._killed_by[node.id]}", now)
        return [node for node in nodes if node.id not in self._killed_by] if killed else list(nodes)

    def backend_gone(self, name: str, message: str, now: float) -> None:
        """End all jobs of a backend whose block has ended, so that no more events come. Other backends go on."""
        backend = self._backends[name]
        backend.gone = JobStatusInfo(message, kind=FailureKind.BACKEND_ERROR)
        for node in self._graph:
            if node.place is not IN_FLIGHT or node.queue.backend is not backend:
                continue
            self._release([node])
            if node.id in self._killed_by:
                self._end_early(node, FailureKind.CANCELLED, f"killed by {self._killed_by[node.id]}", now)
            else:
                self._end_early(node, FailureKind.BACKEND_ERROR, message, now)
        for node in self._graph:
            if node.event is None and node.queue.backend is backend:
                self._end_early(node, FailureKind.BACKEND_ERROR, message, now)

    def capacity_changed(self, resource: str, capacity: int) -> None:
        """Take note that a dynamic limit is now `capacity`."""
        self._arbiter.capacity_changed(resource, capacity)

    def kill(self, ids: Iterable[str], by: str, now: float, *, force: bool = False) -> None:
        """Kill these jobs. Those that have ended are ignored.

        Raises:
            GraphError: if an id is unknown; then nothing is killed.
        """
        self._kill_nodes([self._graph.find(job_id) for job_id in ids], by, now, force=force)

    def stop(self, by: str, now: float, *, force: bool = False, drain: bool = False) -> None:
        """Start no more jobs. Jobs in flight are killed, unless `drain`. A harder stop overrides a softer one."""
        self._stopped = (by, force, drain)
        nodes = [node for node in self._graph if node.event is None]
        self._kill_nodes([node for node in nodes if node.place is not IN_FLIGHT or not drain], by, now, force=force)

    def finish(self, message: str, now: float) -> None:
        """End every job that has not ended: the run is over, whatever happened."""
        for node in self._graph:
            if node.event is None:
                if node.place is IN_FLIGHT:
                    self._release([node])
                self._end_early(node, FailureKind.CANCELLED, message, now)

    # ------------------------------------------------------------------ decisions

    def decide(self, now: float) -> list[Action]:
        """Return the actions to carry out now. The plan counts them as done."""
        actions: list[Action] = []
        if self._new:
            self._admit(now)
        if self._kills:
            actions.extend(self._kills)
            self._kills = []
        for backend in self._backends.values():
            if backend.retry_at is not None and backend.retry_at <= now:
                backend.retry_at = None
        chosen: dict[str, list[Node]] = {}
        slots = self._limit - self._in_flight
        if slots > 0 and self._stopped is None:
            candidates = [backend for backend in self._backends.values() if backend.heap and backend.free() > 0]
            while candidates and slots > 0:
                backend = candidates[0] if len(candidates) == 1 else min(candidates, key=_head_of)
                # One at a time if there are several: each may change which backend has the best head.
                nodes = self._choose(backend, slots if len(candidates) == 1 else 1)
                if nodes:
                    chosen.setdefault(backend.name, []).extend(nodes)
                    slots -= len(nodes)
                if not nodes or not backend.heap or backend.free() <= 0:
                    candidates.remove(backend)
        actions.extend(Submit(name, nodes) for name, nodes in chosen.items())
        return actions

    def retry_at(self, backend: str) -> float:
        """Return when to call `decide` again because this backend was busy; `math.inf` if it was not."""
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
                # One at a time if there are several queues: the next best head may be another queue's.
                nodes += queue.take(free - len(nodes) if len(backend.heap) == 1 else 1)
        for node in nodes:
            node.place = IN_FLIGHT
            node.attempt = node.attempt or 1  # a refused submission is no attempt
        backend.in_flight += len(nodes)
        backend.offered += len(nodes)
        self._in_flight += len(nodes)
        return nodes

    def _release(self, nodes: Sequence[Node]) -> None:
        """Free the slots and resources of these jobs, which are no longer in flight."""
        self._in_flight -= len(nodes)
        for node in nodes:
            queue = node.queue
            node.place = NOWHERE
            queue.backend.in_flight -= 1
            if queue.request:
                self._arbiter.release(queue.request)

    def _requeue_refused(self, node: Node, now: float, busy_because: str) -> None:
        """Make a refused job ready again, unless it was killed or has been refused for too long."""
        self._release([node])
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
        """Return what the user's function says, or, if it fails, the default for this job and all others."""
        try:
            return self._checked_priority(function(node.job, len(node.dependents)))
        except Exception:
            logger.exception(
                "the priority function failed for job %r; the default priority is used from now on", node.id
            )
            self._priority = None
            self._requeue_all()  # its values and the default's cannot be compared
            return default_priority(node.job, len(node.dependents))

    def _checked_priority(self, priority: Any) -> Any:
        """Return `priority` if queues can use it: it can be hashed and ordered, and equals itself, unlike NaN."""
        hash(priority)
        if self._sample is None:
            self._sample = priority
        is_unlike_itself = priority != priority  # noqa: PLR0124 - as NaN is, and whatever else orders nothing
        # Of two values that are ordered, exactly one of `<` and `>=` holds. Sets, for example, are not.
        if is_unlike_itself or (priority < self._sample) is (priority >= self._sample):
            msg = f"{priority!r} cannot be ordered"
            raise ValueError(msg)
        return priority

    def _requeue_all(self) -> None:
        """Queue all ready jobs again, so that no queue has priorities of two kinds."""
        for backend in self._backends.values():
            self._enqueue(backend.drain())

    # ------------------------------------------------------------------ a job's states

    def _queue_of(self, job: Any) -> ReadyQueue:
        """Return the queue for `job`.

        Raises:
            GraphError: if its backend is unknown.
            ResourceError: if its request can never be granted.
        """
        name = job.backend or self._default
        backend = self._backends.get(name)
        if backend is None:
            known = ", ".join(sorted(self._backends))
            msg = f"job {job.id!r} has backend {name!r}; expected a backend of this run: {known}"
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

    def _admit(self, now: float) -> None:
        """Take in the new jobs: each waits for others, is ready, or ends at once."""
        nodes, self._new = self._new, []
        if self.unfinished < len(self._graph):
            for node in nodes:
                if node.job.dependencies:
                    self._count_ended_dependencies(node, now)
        if self._stopped is not None:
            for node in nodes:
                self._end_early(node, FailureKind.CANCELLED, f"killed by {self._stopped[0]}", now)
        else:
            self._make_ready([node for node in nodes if node.waiting == 0 and node.status is SCHEDULED], now)

    def _count_ended_dependencies(self, node: Node, now: float) -> None:
        """Take into account the dependencies of `node` that ended before it was added."""
        ended = [other for other in map(self._graph.find, node.job.dependencies) if other.event is not None]
        if not ended or node.event is not None:  # another new job, on which it depends, may have ended it
            return
        failed = [other for other in ended if other.status is not PASSED]
        node.passed = len(ended) - len(failed)
        if failed and (event := self._end_without_run(node, failed[-1], now)) is not None:
            node.event = event
            self._complete([node], now)

    def _make_ready(self, nodes: Sequence[Node], now: float) -> None:
        """Queue `nodes`, which no longer wait for other jobs, for their backends."""
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

    def _complete(self, ended: list[Node], now: float) -> None:
        """Record the completions of these jobs (their events are set), and end or queue all that depends on them."""
        counts, watched = self.counts, self.changes is not None
        ready: list[Node] = []
        for done in ended:  # it grows during the loop; by recursion, a long chain would exhaust the stack
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
                self._remove_ready(done)
            passed = status is PASSED
            if not passed:
                self._count_failure(end)
            for dependent in done.dependents:
                if dependent.event is not None:  # another dependency, or a kill, has ended it
                    continue
                dependent.waiting -= 1
                dependent.passed += passed
                if not passed and (event := self._end_without_run(dependent, done, now)) is not None:
                    dependent.event = event
                    ended.append(dependent)
                elif dependent.waiting == 0:
                    ready.append(dependent)
        self._make_ready(ready, now)
        if self._max_failures is not None and self._failures >= self._max_failures and self._stopped is None:
            count = self._max_failures
            self.stop(f"the limit of {count} failure{'' if count == 1 else 's'}", now)

    def _remove_ready(self, node: Node) -> None:
        queue = node.queue
        queue.remove(node)
        if not queue.size:
            self._arbiter.drop(queue)

    def _end_without_run(self, node: Node, dependency: Node, now: float) -> JobCompletionEvent | None:
        """Return the completion of `node` if it can never run, as `dependency` has not passed; else `None`."""
        if node.run_if != "passed" and node.waiting:
            return None
        if self._stopped is not None:
            return _never_ran(node, FailureKind.CANCELLED, f"killed by {self._stopped[0]}", now)
        if node.run_if == "passed":
            message = f"it needs {dependency.id!r}, which ended as {dependency.status.name}"
        elif node.run_if == "any-passed" and not node.passed:
            message = f"none of its dependencies passed; the last was {dependency.id!r}"
        elif (gone := node.queue.backend.gone) is not None:
            # Here, not only in `_make_ready`: there a chain of jobs with `run_if="ended"` would be a recursion.
            return _never_ran(node, FailureKind.BACKEND_ERROR, gone.message, now)
        else:
            return None
        return _never_ran(node, FailureKind.DEPENDENCY, message, now)

    def _end_early(self, node: Node, kind: FailureKind, message: str, now: float) -> None:
        """End a job that is not in flight; nothing happens if it has ended."""
        if node.event is None:
            node.event = _never_ran(node, kind, message, now)
            self._complete([node], now)

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
                # Remembered, because it may not have been submitted yet, or may be refused: then it ends here.
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
    """Return what orders backends by their best jobs; one with nothing to offer is the last."""
    queue = backend.best(exact=True)
    return (True, 0) if queue is None else (False, queue.entry)


def _not_an_end(event: JobCompletionEvent) -> JobCompletionEvent:
    """Return a completion as killed in place of one whose status is not terminal, which breaks the contract."""
    reason = JobStatusInfo(f"its backend completed it as {event.status}", kind=FailureKind.BACKEND_ERROR)
    return attrs.evolve(event, status=KILLED, reason=reason)


def _never_ran(node: Node, kind: FailureKind, message: str, now: float) -> JobCompletionEvent:
    reason = JobStatusInfo(message, kind=kind)
    return JobCompletionEvent(node.id, node.attempt, kind.status, reason, now, node.started, now)
