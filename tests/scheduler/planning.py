"""Helpers of the tests of the plan: facts in few words, and a plan that is driven by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runtime.job import FailureKind, JobCompletionEvent, JobHandle, JobSpec, JobStatus, JobStatusInfo, Kind
from runtime.job.protocol import Job
from runtime.scheduler.actions import NO_ATTEMPTS, Action, Kill, Submit
from runtime.scheduler.dispatcher import BackendLimits
from runtime.scheduler.facts import (
    BackendEnded,
    CapacityChanged,
    Fact,
    JobsAdded,
    KillRequested,
    StopRequested,
    Submitted,
    Withdrawn,
)
from runtime.scheduler.plan import Plan
from runtime.scheduler.resources import ResourcePool


def job(name: str, *needs: str, **fields: Any) -> JobSpec:
    return JobSpec(name=name, cmd="true", dependencies=needs, **fields)


def ended(
    job_id: str,
    status: JobStatus = JobStatus.PASSED,
    at: float = 0.0,
    *,
    attempt: int = 1,
    kind: Kind = FailureKind.EXIT_CODE,
) -> JobCompletionEvent:
    message = "exit code 1" if kind is FailureKind.EXIT_CODE else f"it is {kind}"
    reason = None if status is JobStatus.PASSED else JobStatusInfo(message, kind=kind)
    return JobCompletionEvent(job_id, attempt, status, reason, at, at, at)


def handles(
    jobs: Iterable[Job], started: float | None, attempts: Mapping[str, int] = NO_ATTEMPTS
) -> dict[str, JobHandle]:
    return {each.id: JobHandle(each.id, attempts.get(each.id, 1), started) for each in jobs}


class Driven:
    """A plan, and a backend that takes no time and records its calls."""

    def __init__(
        self,
        jobs: Iterable[Job],
        backends: Mapping[str, int | None] | None = None,
        *,
        provided: Mapping[str, set[str]] | None = None,
        **options: Any,
    ) -> None:
        limits = options.pop("resources", None)
        pool = limits if isinstance(limits, ResourcePool) else ResourcePool(limits)
        backends = {"fake": None} if backends is None else backends
        allowed = {name: BackendLimits(most, None, (provided or {}).get(name, ())) for name, most in backends.items()}
        self.plan = Plan(allowed, next(iter(backends)), resources=pool, **options)
        self.now = 0.0
        self.flying: dict[str, int] = {}
        """By id: the number of the attempt."""
        self.history: list[str] = []
        self.killed: list[Kill] = []
        self.add(jobs)

    def apply(self, fact: Fact) -> None:
        self.plan.apply(fact, self.now)

    def add(self, jobs: Iterable[Job]) -> None:
        self.apply(JobsAdded(list(jobs)))

    def kill(self, ids: Sequence[str], by: str) -> None:
        self.apply(KillRequested(ids, by))

    def stop(self, by: str, **how: bool) -> None:
        self.apply(StopRequested(by, **how))

    def lose(self, backend: str) -> None:
        self.apply(BackendEnded(backend, "it broke"))

    def limit(self, resource: str, capacity: int) -> None:
        self.apply(CapacityChanged(resource, capacity))

    def dispatch(self, *, refuse: Iterable[str] = ()) -> list[str]:
        """Carry out the plan's actions, but refuse these ids; return the ids that were submitted, in order."""
        submitted: list[str] = []
        for action in self.plan.decide(self.now):
            submitted += self._do(action, set(refuse))
        self.plan.sanity_check()
        return submitted

    def _do(self, action: Action, refuse: set[str]) -> list[str]:
        if isinstance(action, Kill):
            self.killed.append(action)
            return []
        ids = [each.id for each in action.jobs]
        self.history += ids
        accepted = [each for each in action.jobs if each.id not in refuse]
        self.flying.update({each.id: action.attempts.get(each.id, 1) for each in accepted})
        taken = handles(accepted, self.now, action.attempts)
        self.apply(Submitted(action.backend, action.jobs, taken, attempts=action.attempts))
        return ids

    def decide(self) -> Submit:
        """Return the plan's only action, which is a submission; it is for the test to carry it out."""
        (action,) = self.plan.decide(self.now)
        assert isinstance(action, Submit)
        return action

    def withdraw(self, action: Submit, *ids: str) -> None:
        self.apply(Withdrawn(action.backend, [each for each in action.jobs if each.id in ids]))

    def end(self, job_id: str, status: JobStatus = JobStatus.PASSED, kind: Kind = FailureKind.EXIT_CODE) -> None:
        attempt = self.flying.pop(job_id)
        self.apply((ended(job_id, status, self.now, attempt=attempt, kind=kind),))
        self.plan.sanity_check()

    def fail(self, job_id: str, kind: Kind = FailureKind.EXIT_CODE) -> None:
        self.end(job_id, kind.status, kind)

    def result(self, job_id: str) -> JobCompletionEvent:
        (event,) = (result.event for result in self.plan.results() if result.id == job_id)
        return event

    def statuses(self) -> dict[str, str]:
        results = {result.id: result.status.name for result in self.plan.results()}
        return {node.id: results.get(node.id, "") for node in self.plan._graph}

    def kind(self, job_id: str) -> str:
        reason = next(result.reason for result in self.plan.results() if result.id == job_id)
        assert reason is not None
        assert reason.kind is not None
        return str(reason.kind)
