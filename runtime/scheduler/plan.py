"""`Plan`: decides what runs next. Facts go in, actions come out; it has no I/O, no clock and no task.

::

    facts ──► apply() ──► Plan ──► decide() ──► actions
                           └─────► statuses (for watchers)

`run.Scheduler` applies each fact (`facts`) with the time at which it heard of it, and then asks `decide` for actions
(`actions`), which the runners of the backends carry out. What a plan consists of: the `graph` of the jobs; the
`statuses`; the `dispatcher`, which has the ready jobs and chooses among them; the `retries`, which have those that are
to be tried again; the `consequences`, which follow when a job ends, is killed, or the run stops. This module takes in
what backends and callers tell, and says what becomes of the jobs concerned.

Facts come in batches, and one loop does the work for each job of a batch inline: a run of 100,000 jobs that do nothing
spends half its time here, and in Python a call costs as much as what it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from runtime.job import EventBatch, FailureKind, JobCompletionEvent, JobProgressEvent, JobResult
from runtime.job.drafts import make_results
from runtime.job.protocol import Job
from runtime.job.status import PASSED, QUEUED, RUNNING, SCHEDULED
from runtime.scheduler.actions import NO_ATTEMPTS, Action, Submit
from runtime.scheduler.collector import collector_paused
from runtime.scheduler.consequences import Consequences
from runtime.scheduler.dispatcher import BackendLimits, Dispatcher
from runtime.scheduler.endings import KnownFailure, end_without_run
from runtime.scheduler.facts import (
    BackendEnded,
    CapacityChanged,
    Fact,
    JobsAdded,
    JobsKept,
    KillRequested,
    LimitRequested,
    PauseRequested,
    Request,
    RunEnded,
    StopRequested,
    SubmissionFailed,
    Submitted,
    Withdrawn,
)
from runtime.scheduler.graph import IN_FLIGHT, Graph, Node
from runtime.scheduler.priorities import Priority
from runtime.scheduler.resources import ResourcePool
from runtime.scheduler.retries import Retries
from runtime.scheduler.statistics import SchedulerStatistics
from runtime.scheduler.statuses import Statuses

BUSY_TIMEOUT: Final = 6 * 3600.0
"""Seconds after which a job that its backend keeps refusing is killed. Arbitrary: most of a night. Ten times longer, a
backend that is broken and says that it is busy would hold up a run over a weekend; ten times shorter, jobs would be
killed because a farm is full for half an hour."""


class Plan:
    """The state of a run, and every decision in it.

    Args:
        backends: what the backends of the run allow, by name.
        default_backend: for jobs that name none.
        max_parallelism: how many jobs may be in flight at once on all backends, `None` for no limit.
        resources: the limits.
        priority: replaces `default_priority`. What it raises, or a value that cannot be ordered, is logged once, and
            the default counts for all jobs from then on.
        max_failures: the run stops after so many jobs with a failure of the design of their own, not counting those
            that are known.
        busy_timeout: seconds, from the first refusal, after which a job that is still refused is killed.
        first_attempts: id to the number of the first attempt at a job; an id that is absent means 1.
        known: tells which failures of the design are known; `None` for none.
    """

    def __init__(
        self,
        backends: Mapping[str, BackendLimits],
        default_backend: str,
        *,
        max_parallelism: int | None = None,
        resources: ResourcePool | None = None,
        priority: Priority | None = None,
        max_failures: int | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
        first_attempts: Mapping[str, int] = NO_ATTEMPTS,
        known: KnownFailure | None = None,
    ) -> None:
        self.statuses: Final = Statuses()
        self._graph = Graph()
        self._dispatcher = Dispatcher(
            backends,
            default_backend,
            max_parallelism=max_parallelism,
            resources=resources or ResourcePool(),
            priority=priority,
            attempts=first_attempts,
        )
        self._limits = self._dispatcher.limits
        self._retries = Retries()
        self._ends = Consequences(self._graph, self.statuses, self._dispatcher, self._retries, max_failures, known)
        self._stray = 0
        self._new: list[Node] = []
        """Jobs that were added since the last `decide`."""
        self._busy_timeout = busy_timeout
        self.paused_by: str | None = None
        """Who paused launching; `None` while it goes on."""

    @property
    def unfinished(self) -> int:
        """How many jobs have not ended."""
        return self.statuses.unfinished

    def apply(self, fact: Fact, now: float) -> None:
        """Take in a fact.

        Raises:
            GraphError: for jobs that were added: see `Graph.add`; or if the backend of one is unknown. For a kill, and
                for what is kept: if an id is unknown. Then nothing has changed.
            ValueError: for an earlier attempt that is not before the first one of this run. Then nothing has changed.
            ResourceError: for jobs that were added, see `ResourcePool.check`; then none was added. For a limit: if the
                resource is unknown, or it is no limit.
        """
        match fact:
            case tuple():
                self._take_events(fact, now)
            case Submitted():
                self._submitted(fact, now)
            case JobsAdded():
                self._add(fact.jobs)
            case JobsKept():
                self._keep(fact.events, fact.earlier)
            case SubmissionFailed():
                jobs = self._still_current(fact.jobs, fact.attempts)
                self._return_unsubmitted(fact, jobs, FailureKind.LAUNCH_ERROR, fact.message, now)
            case Withdrawn():
                # The kind and the message do not matter: a job is withdrawn only if it was killed.
                self._return_unsubmitted(fact, fact.jobs, FailureKind.CANCELLED, "", now)
            case BackendEnded():
                self._backend_ended(fact, now)
            case CapacityChanged():
                self._limits.told(fact.resource, fact.capacity)
            case KillRequested() | StopRequested() | PauseRequested() | LimitRequested():
                self._take_request(fact, now)
            case RunEnded():
                self._ends.end_all(fact.message, now)
            case _:
                assert_never(fact)

    def decide(self, now: float) -> list[Action]:
        """Return the actions to carry out now. The plan counts them as done."""
        if self._new:
            self._admit(now)
        if self._retries.waiting:
            self._ends.make_ready(self._retries.take_due(now), now)
        if not self._limits.is_settled:
            self._limits.update(now)
        actions: list[Action] = [*self._ends.kills]
        self._ends.kills.clear()
        if self._ends.stopped_by is None and self.paused_by is None:
            chosen = self._dispatcher.choose(now)
            for name, nodes in chosen.items():
                actions.append(Submit(name, [node.job for node in nodes], self._dispatcher.attempts_of(nodes)))
        return actions

    def wake_at(self, now: float) -> float:
        """Return when to call `decide` again although no fact has come; `math.inf` for never."""
        wake_at = self._dispatcher.wake_at(now)
        if not self._limits.is_settled:
            wake_at = min(wake_at, self._limits.wake_at())
        return min(wake_at, self._retries.waiting[0].due) if self._retries.waiting else wake_at

    def jobs(self) -> list[Job]:
        """Return all jobs, in the order given."""
        return [node.job for node in self._graph]

    @property
    def stopped_by(self) -> str | None:
        """Who stopped the run last; `None` while jobs may start."""
        return self._ends.stopped_by

    def results(self) -> list[JobResult[Job]]:
        """Return the result of each job that has ended, in the order given."""
        return make_results(self._graph)

    def statistics(self) -> SchedulerStatistics:
        """Return a snapshot of the run."""
        return SchedulerStatistics(
            dict(self.statuses.counts),
            len(self._graph),
            self.statuses.unfinished,
            self._ends.never_ran,
            {"passed": self.statuses.counts[PASSED], **self._ends.counted},
            self._dispatcher.in_flight,
            self._stray,
            self._dispatcher.usage(),
            self._dispatcher.waited_for(),
        )

    def sanity_check(self) -> None:
        """Check every invariant. For tests: it visits each job.

        Raises:
            AssertionError: if one does not hold.
        """
        nodes = list(self._graph)
        assert sum(self.statuses.counts.values()) == len(nodes)
        assert self.statuses.unfinished == sum(node.event is None for node in nodes)
        assert self._ends.never_ran == sum(node.event is not None and node.event.never_ran for node in nodes)
        for node in nodes:
            assert (node.event is not None) == node.status.is_terminal, node
            needed = [self._graph.find(other).event for other in dict.fromkeys(node.job.dependencies)]
            if node.place is IN_FLIGHT:
                assert None not in needed, node
                passed = [event is not None and event.status is PASSED for event in needed]
                assert node.run_if != "passed" or all(passed), node
                assert node.run_if != "any-passed" or any(passed) or not passed, node
            if node.event is None:
                assert node.waiting == needed.count(None), node
                # A job that waits for nothing is queued, unless it was added after the last `decide`.
                scheduled = node.status is SCHEDULED
                assert scheduled if node.waiting else (not scheduled or node in self._new), node
        self._dispatcher.sanity_check(nodes)
        self._retries.sanity_check(nodes)

    def _take_request(self, request: Request, now: float) -> None:
        match request:
            case KillRequested():
                nodes = [self._graph.find(job_id) for job_id in request.ids]
                self._ends.kill(nodes, request.by, now, force=request.force)
            case StopRequested():
                self._ends.stop(request, now)
            case PauseRequested():
                self.paused_by = request.by if request.paused else None
                if not request.paused:
                    self._ends.busy_since.clear()  # a job that was not offered meanwhile was not refused either
            case LimitRequested():
                self._limits.set(request.resource, request.limit)
            case _:
                assert_never(request)

    # ------------------------------------------------------------------ new jobs

    def _add(self, jobs: Sequence[Job]) -> None:
        with collector_paused():
            queues = self._dispatcher.queues_of(jobs)
            nodes = self._graph.add(jobs)
            for node, queue in zip(nodes, queues, strict=True):
                node.queue = queue
        self.statuses.add(len(nodes))
        self._new += nodes

    def _keep(self, events: Sequence[JobCompletionEvent], earlier: Sequence[JobCompletionEvent]) -> None:
        """Let jobs have passed that were added since the last `decide`; let `earlier` attempts at others count."""
        nodes = [self._graph.find(event.job_id) for event in events]
        for event in earlier:
            self._graph.find(event.job_id)
            if (first := self._dispatcher.attempts.get(event.job_id, 1)) <= event.attempt:
                raise ValueError(
                    f"attempt {event.attempt} at job {event.job_id!r} is given; expected one before the first of this"
                    f" run, which is {first}"
                )
        self._retries.continue_from(earlier)
        for node, event in zip(nodes, events, strict=True):
            node.event = event
            node.attempt = event.attempt
        self.statuses.end(nodes)
        for node in nodes:
            for dependent in node.dependents:
                dependent.waiting -= 1  # `_admit` counts it as passed

    def _admit(self, now: float) -> None:
        """Take in the new jobs: each waits for others, is ready, or ends at once."""
        nodes, self._new = self._new, []
        if self.statuses.unfinished < len(self._graph):
            for node in nodes:
                if node.job.dependencies:
                    self._count_ended_dependencies(node, now)
        if self._ends.stopped_by is not None:
            for node in nodes:
                self._ends.end_early(node, FailureKind.CANCELLED, f"killed by {self._ends.stopped_by}", now)
        else:
            self._ends.make_ready([node for node in nodes if node.waiting == 0 and node.status is SCHEDULED], now)

    def _count_ended_dependencies(self, node: Node, now: float) -> None:
        """Take into account the dependencies of `node` that ended before it was added."""
        ended = [other for other in map(self._graph.find, node.job.dependencies) if other.event is not None]
        if not ended or node.event is not None:  # another new job, on which it depends, may have ended it
            return
        failed = [other for other in ended if other.status is not PASSED]
        node.passed = len(ended) - len(failed)
        if failed and (event := end_without_run(node, failed[-1], self._ends.stopped_by, now)) is not None:
            node.event = event
            self._ends.complete([node], now)

    # ------------------------------------------------------------------ jobs in flight

    def _take_events(self, batch: EventBatch, now: float) -> None:
        """Take in events of a backend: jobs that began to run, or wait again, and completions."""
        find = self._graph.get
        ended: list[Node] = []
        failures, ends = self._retries.failures, self._ends
        for event in batch:
            node = find(event.job_id)
            # `node.event` is set, with its place unchanged, if an earlier event of this batch completed it.
            if node is None or node.place is not IN_FLIGHT or node.attempt != event.attempt or node.event is not None:
                self._stray += 1
            elif isinstance(event, JobCompletionEvent):
                node.event = event if event.status is PASSED and not failures else ends.conclusion(node, event, now)
                if node.event is not None:
                    ended.append(node)
            else:
                self._progressed(node, event)
        self._dispatcher.complete(ended, now)
        self._ends.complete(ended, now)

    def _progressed(self, node: Node, event: JobProgressEvent) -> None:
        if event.status is RUNNING or event.status is QUEUED:  # QUEUED: requeued by a cluster, or why it still waits
            node.started = event.at if event.status is RUNNING else None
            self.statuses.move((node,), event.status, event.at, event.note)
        else:  # progress leads to no other status: the backend broke the contract
            self._stray += 1

    def _submitted(self, fact: Submitted, now: float) -> None:
        find, accepted = self._graph.get, fact.accepted
        refused = []
        started = []
        for job in self._still_current(fact.jobs, fact.attempts):
            job_id = job.id
            node = find(job_id)
            if node is None or node.place is not IN_FLIGHT:
                continue  # its completion overtook the answer
            handle = accepted.get(job_id)
            if handle is None:
                refused.append(node)
            # Some jobs run at once, which the handle says: an event for each would cost as much as its completion. The
            # others have an event when they begin, which may have come before this answer.
            elif handle.started is not None and node.status is QUEUED:
                node.started = handle.started
                started.append(node)
        self.statuses.move(started, RUNNING)
        backlog = self._dispatcher.backlogs[fact.backend]
        backlog.backoff.answered(len(fact.jobs) - len(refused), len(refused), now)
        # Each is put in front of its queue, so the last must be the first.
        for node in reversed(refused):
            self._refused(node, fact.busy_because, now)

    def _still_current(self, jobs: Sequence[Job], attempts: Mapping[str, int]) -> Sequence[Job]:
        """Return those of `jobs`, of a submission with these `attempts`, that have not been submitted again since.

        An answer can be overtaken not only by the completion of a job, but also by the next attempt at it.
        """
        if not self._dispatcher.attempts:  # the usual case: no job is tried again
            return jobs
        return [job for job in jobs if self._graph.find(job.id).attempt == attempts.get(job.id, 1)]

    def _refused(self, node: Node, busy_because: str, now: float) -> None:
        """Make a refused job ready again, unless it was killed, the run stops, or it was refused for too long."""
        self._dispatcher.release([node])
        waited = now - self._ends.busy_since.setdefault(node.id, now)
        by = self._ends.killed_by.get(node.id, self._ends.stopped_by)
        if by is not None:
            self._ends.end_early(node, FailureKind.CANCELLED, f"killed by {by}", now)
        elif waited >= self._busy_timeout:
            why = f": {busy_because}" if busy_because else ""
            message = f"its backend {node.queue.backlog.name!r} has been busy for {waited:g} s{why}"
            self._ends.end_attempt(node, FailureKind.BUSY, message, now)
        else:
            if node.status is not QUEUED:  # a backend that first says that it runs, and then refuses it
                self.statuses.move((node,), QUEUED, now)
            self._dispatcher.enqueue([node], front=True)

    def _return_unsubmitted(
        self, fact: SubmissionFailed | Withdrawn, jobs: Sequence[Job], kind: FailureKind, message: str, now: float
    ) -> None:
        """End these `jobs` of a fact, which their backend was offered and does not have, unless they have ended."""
        self._dispatcher.backlogs[fact.backend].backoff.withdraw(len(fact.jobs))
        for job in jobs:
            node = self._graph.find(job.id)
            if node.place is IN_FLIGHT:
                self._ends.end_in_flight(node, kind, message, now)

    def _backend_ended(self, fact: BackendEnded, now: float) -> None:
        """End all jobs of a backend, those in flight first. Other backends go on."""
        backlog = self._dispatcher.backlogs[fact.backend]
        backlog.gone = fact.message
        if not self.statuses.unfinished:
            return
        for node in self._graph:
            if node.place is IN_FLIGHT and node.queue.backlog is backlog:
                self._ends.end_in_flight(node, FailureKind.BACKEND_ERROR, fact.message, now)
        for node in self._graph:
            if node.queue.backlog is backlog:
                self._ends.end_early(node, FailureKind.BACKEND_ERROR, fact.message, now)
