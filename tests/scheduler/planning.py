"""What the tests of the plan share: facts in few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus, JobStatusInfo
from runtime.scheduler.actions import Action, Kill, Submit
from runtime.scheduler.graph import Node
from runtime.scheduler.plan import Plan
from runtime.scheduler.resources import ResourcePool
from runtime.scheduler.sanity import sanity_check


def job(name: str, *needs: str, **fields: Any) -> JobSpec:
    return JobSpec(name=name, cmd="true", dependencies=needs, **fields)


def ended(node: Node, status: JobStatus = JobStatus.PASSED, at: float = 0.0) -> JobCompletionEvent:
    reason = None if status is JobStatus.PASSED else JobStatusInfo("exit code 1", kind=FailureKind.EXIT_CODE)
    return JobCompletionEvent(node.id, node.attempt, status, reason, at, at, at)


class Driven:
    """A plan, and a backend of no time that remembers what it was told."""

    def __init__(
        self, jobs: Iterable[JobSpec], backends: Mapping[str, int | None] | None = None, **options: Any
    ) -> None:
        limits = options.pop("resources", None)
        pool = limits if isinstance(limits, ResourcePool) else ResourcePool(limits)
        backends = {"fake": None} if backends is None else backends
        self.plan = Plan(backends, next(iter(backends)), resources=pool, **options)
        self.now = 0.0
        self.flying: dict[str, Node] = {}
        self.history: list[str] = []
        self.killed: list[Kill] = []
        self.plan.add(jobs)

    def turn(self, *, refuse: Iterable[str] = ()) -> list[str]:
        """Ask for actions and do them; refuse those ids. Returns the ids that were submitted, in order."""
        submitted: list[str] = []
        for action in self.plan.decide(self.now):
            submitted += self._do(action, set(refuse))
        sanity_check(self.plan)
        return submitted

    def _do(self, action: Action, refuse: set[str]) -> list[str]:
        if isinstance(action, Kill):
            self.killed.append(action)
            return []
        assert isinstance(action, Submit)
        nodes = self.plan.launching(action.nodes, self.now)
        ids = [node.id for node in nodes]
        self.history += ids
        self.flying.update({node.id: node for node in nodes if node.id not in refuse})
        self.plan.submitted(nodes, {node.id: self.now for node in nodes if node.id not in refuse}, self.now)
        return ids

    def end(self, job_id: str, status: JobStatus = JobStatus.PASSED) -> None:
        self.plan.completed(ended(self.flying.pop(job_id), status, self.now), self.now)
        sanity_check(self.plan)

    def statuses(self) -> dict[str, str]:
        return {spec.id: "" if event is None else event.status.name for spec, event in self.plan.results()}

    def kind(self, job_id: str) -> str:
        event = next(event for spec, event in self.plan.results() if spec.id == job_id)
        assert event is not None
        assert event.reason is not None
        assert event.reason.kind is not None
        return str(event.reason.kind)
