"""`Consequences`: what follows when a job ends, is killed, or the run stops. Pure.

Whatever ends a job comes here, and so do the jobs that wait for it: they get ready, or end as well. It is a part of a
`Plan`, which is told the facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from runtime.job import FailureKind, JobCompletionEvent
from runtime.job.counting import counted_as
from runtime.job.status import PASSED, QUEUED, TERMINAL
from runtime.scheduler.actions import Kill
from runtime.scheduler.dispatcher import Dispatcher
from runtime.scheduler.endings import (
    KnownFailure,
    corrected,
    end_of,
    end_without_run,
    is_own_failure_of_design,
    with_known,
)
from runtime.scheduler.facts import StopRequested
from runtime.scheduler.graph import IN_FLIGHT, NOWHERE, READY, Graph, Node
from runtime.scheduler.retries import Retries
from runtime.scheduler.statuses import Statuses


class Consequences:
    """Ends jobs, and queues or ends those that depend on them. It shares the parts of the plan that it is a part of.

    Args:
        graph: the jobs.
        statuses: their statuses.
        dispatcher: has those that are ready, or in flight.
        retries: has those that wait for another attempt.
        max_failures: as for `Plan`.
        known: as for `Plan`.
    """

    def __init__(
        self,
        graph: Graph,
        statuses: Statuses,
        dispatcher: Dispatcher,
        retries: Retries,
        max_failures: int | None,
        known: KnownFailure | None,
    ) -> None:
        self._graph = graph
        self._statuses = statuses
        self._dispatcher = dispatcher
        self._retries = retries
        self._max_failures = max_failures
        self._known = known
        self._failures = 0
        self.counted: Final[Counter[str]] = Counter()
        """How many jobs that did not pass are counted as what: see `runtime.job.counting`."""
        self.never_ran: int = 0
        """How many jobs ended before they began to run."""
        self.stopped_by: str | None = None
        """Who stopped the run last; `None` while jobs may start."""
        self.kills: list[Kill] = []
        """Actions for the next `Plan.decide`."""
        self.killed_by: dict[str, str] = {}
        """By id of a job that is killed while in flight: who asked for it. If it comes back without having run, it ends
        for that reason."""
        self.busy_since: dict[str, float] = {}
        """By id of a job that its backend refused: when it did first, of this attempt."""

    def kill(self, nodes: Iterable[Node], by: str, now: float, *, force: bool) -> None:
        """End jobs that have not begun; let the backends kill those in flight."""
        in_flight: dict[str, list[str]] = {}
        for node in nodes:
            if node.event is not None:
                continue
            if node.place is IN_FLIGHT:
                # Remembered, because it may not have been submitted yet, or may be refused: then it ends here.
                self.killed_by.setdefault(node.id, by)
                in_flight.setdefault(node.queue.backlog.name, []).append(node.id)
            else:
                self.end_early(node, FailureKind.CANCELLED, f"killed by {by}", now)
        self.kills += [Kill(name, ids, by, force) for name, ids in in_flight.items()]

    def stop(self, fact: StopRequested, now: float) -> None:
        """Start no more jobs. A harder stop overrides a softer one."""
        self.stopped_by = fact.by
        nodes = [node for node in self._graph if not (fact.drain and node.place is IN_FLIGHT)]
        self.kill(nodes, fact.by, now, force=fact.force)

    def end_all(self, message: str, now: float) -> None:
        """End all jobs: the run is over."""
        for node in self._graph:
            if node.event is None:
                if node.place is IN_FLIGHT:
                    self._dispatcher.release([node])
                self.end_early(node, FailureKind.CANCELLED, message, now)

    def make_ready(self, nodes: Sequence[Node], now: float) -> None:
        """Queue `nodes`, which no longer wait for other jobs, for their backends."""
        if any(backlog.gone is not None for backlog in self._dispatcher.backlogs.values()):
            for node in nodes:
                gone = node.queue.backlog.gone
                if gone is not None:
                    self.end_early(node, FailureKind.BACKEND_ERROR, gone, now)
            nodes = [node for node in nodes if node.event is None]  # the others' ends may have stopped the run
        self._statuses.move(nodes, QUEUED, now)
        self._dispatcher.enqueue(nodes)

    def complete(self, ended: list[Node], now: float) -> None:
        """Record the completions of these jobs (their events are set), and end or queue all that depends on them."""
        ready: list[Node] = []
        while ended:  # in waves; by recursion, a long chain would exhaust the stack
            self._statuses.end(ended)
            wave, ended = ended, []
            for done in wave:
                if done.place is not NOWHERE:
                    self._take_out(done)
                passed = done.status is PASSED
                if not passed:
                    self._count_failure(done)
                for dependent in done.dependents:
                    if dependent.event is not None:  # another dependency, or a kill, has ended it
                        continue
                    dependent.waiting -= 1
                    dependent.passed += passed
                    if not passed and (event := end_without_run(dependent, done, self.stopped_by, now)) is not None:
                        dependent.event = event
                        ended.append(dependent)
                    elif dependent.waiting == 0:
                        ready.append(dependent)
        self.make_ready(ready, now)
        if self._max_failures is not None and self._failures >= self._max_failures and self.stopped_by is None:
            count = self._max_failures
            self.stop(StopRequested(f"the limit of {count} failure{'' if count == 1 else 's'}"), now)

    def _take_out(self, node: Node) -> None:
        """Take a job that has ended out of where it waited."""
        if node.place is READY:
            self._dispatcher.remove(node)
        else:
            node.place = NOWHERE  # `Retries` skips it

    def _count_failure(self, node: Node) -> None:
        event = node.event
        assert event is not None
        self.never_ran += event.never_ran
        self.counted[counted_as(event)] += 1
        self._failures += event.known is None and is_own_failure_of_design(event)

    def end_in_flight(self, node: Node, kind: FailureKind, message: str, now: float) -> None:
        """End a job in flight of which no event will come. If it was killed, that is the reason."""
        self._dispatcher.release([node])
        if node.id in self.killed_by:
            kind, message = FailureKind.CANCELLED, f"killed by {self.killed_by[node.id]}"
        self.end_attempt(node, kind, message, now)

    def end_attempt(self, node: Node, kind: FailureKind, message: str, now: float) -> None:
        """End the attempt at a job that is no longer in flight, and the job, unless it is tried again."""
        node.event = self.conclusion(node, end_of(node, kind, message, now), now)
        if node.event is not None:
            self.complete([node], now)

    def end_early(self, node: Node, kind: FailureKind, message: str, now: float) -> None:
        """End a job that is not in flight; nothing happens if it has ended.

        If it waits for another attempt, it ends as the last one did: no other has begun, which could have this reason.
        """
        if node.event is None:
            last = self._retries.last_end(node)
            node.event = end_of(node, kind, message, now) if last is None else with_known(last, node.job, self._known)
            self.complete([node], now)

    def conclusion(self, node: Node, event: JobCompletionEvent, now: float) -> JobCompletionEvent | None:
        """Return the completion with which a job ends, after this one of an attempt; `None` if it is tried again."""
        if event.status not in TERMINAL:
            event = corrected(event)
        may_start = self.stopped_by is None and node.id not in self.killed_by and node.queue.backlog.gone is None
        delay = self._retries.delay_after(node, event) if may_start else None
        if node.queue.request:
            self._dispatcher.limits.failed(event, node.queue.request)
        if delay is None:
            return with_known(self._retries.concluded(node, event), node.job, self._known)
        if node.place is IN_FLIGHT:
            self._dispatcher.complete([node], now)
        note = f"attempt {event.attempt} did not pass; the next one begins in {delay:.0f} s"
        self._statuses.try_again(node, self._retries.add(node, event, now + delay), note)
        self._dispatcher.begin_another_attempt(node)
        self.busy_since.pop(node.id, None)
        node.started = None
        return None
