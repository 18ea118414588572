"""Helpers of the tests of the plan: facts in few words, and a plan that is driven by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runtime.job import FailureKind, JobCompletionEvent, JobHandle, JobSpec, JobStatus, JobStatusInfo
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


def receipt(node: Node, started: float | None) -> JobHandle:
    return JobHandle(node.id, node.attempt, started)


class Driven:
    """A plan, and a backend that takes no time and records its calls."""

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

    def dispatch(self, *, refuse: Iterable[str] = ()) -> list[str]:
        """Carry out the plan's actions, but refuse these ids; return the ids that were submitted, in order."""
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
        accepted = [node for node in nodes if node.id not in refuse]
        self.flying.update({node.id: node for node in accepted})
        self.plan.submitted(nodes, {node.id: receipt(node, self.now) for node in accepted}, self.now)
        return ids

    def end(self, job_id: str, status: JobStatus = JobStatus.PASSED) -> None:
        self.plan.received((ended(self.flying.pop(job_id), status, self.now),), self.now)
        sanity_check(self.plan)

    def statuses(self) -> dict[str, str]:
        results = {result.id: result.status.name for result in self.plan.results()}
        return {node.id: results.get(node.id, "") for node in self.plan._graph}

    def kind(self, job_id: str) -> str:
        reason = next(result.reason for result in self.plan.results() if result.id == job_id)
        assert reason is not None
        assert reason.kind is not None
        return str(reason.kind)
