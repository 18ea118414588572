"""Any order of facts: hypothesis drives the plan, and its `sanity_check` is the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.job import RUN_IFS, JobHandle, JobProgressEvent, JobSpec, JobStatus
from runtime.job.protocol import Job
from runtime.scheduler.actions import Kill, Submit
from runtime.scheduler.dispatcher import BackendLimits
from runtime.scheduler.facts import (
    BackendEnded,
    CapacityChanged,
    Fact,
    JobsAdded,
    KillRequested,
    StopRequested,
    SubmissionFailed,
    Submitted,
    Withdrawn,
)
from runtime.scheduler.plan import Plan
from runtime.scheduler.resources import ResourcePool
from tests.scheduler.planning import ended, handles, job

BACKENDS = {"one": 1, "few": 3, "any": None}
LIMITS = {name: BackendLimits(most) for name, most in BACKENDS.items()}
ENDS = st.sampled_from([JobStatus.PASSED, JobStatus.PASSED, JobStatus.FAILED, JobStatus.KILLED])
NEEDS = st.dictionaries(st.sampled_from(["lic", "mem"]), st.sampled_from([0, 1, 2, None]), max_size=2)


class PlanMachine(RuleBasedStateMachine):
    """A shell that carries out the plan's actions, with any delay."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.count = 0
        self.jobs: dict[str, JobSpec] = {}
        self.offered: list[Submit] = []
        self.flying: set[str] = set()
        self.killed: set[str] = set()
        self.launched: list[str] = []
        self.ended: list[str] = []
        self.stopped = False

    @initialize(width=st.sampled_from([None, 1, 4]), failures=st.sampled_from([None, 3]))
    def begin(self, width: int | None, failures: int | None) -> None:
        pool = ResourcePool({"lic": 2}, dynamic=["mem"])
        self.plan = Plan(LIMITS, "any", max_parallelism=width, resources=pool, max_failures=failures, busy_timeout=30)

    @rule(data=st.data(), number=st.integers(1, 6))
    def add(self, data: st.DataObject, number: int) -> None:
        jobs = []
        for _ in range(number):
            known = [f"j{i}" for i in range(self.count)]
            fields: dict[str, Any] = {
                "backend": data.draw(st.sampled_from([None, "one", "few"])),
                "resources": data.draw(NEEDS) or None,
                "weight": data.draw(st.integers(0, 2)),
                "run_if": data.draw(st.sampled_from(RUN_IFS)),
            }
            needs = data.draw(st.lists(st.sampled_from(known), max_size=3, unique=True)) if known else []
            jobs.append(job(f"j{self.count}", *needs, **fields))
            self.count += 1
        self.apply(JobsAdded(jobs))
        self.jobs.update({each.id: each for each in jobs})

    def apply(self, fact: Fact) -> None:
        self.plan.apply(fact, self.now)

    @rule()
    def decide(self) -> None:
        for action in self.plan.decide(self.now):
            if isinstance(action, Kill):
                self.killed.update(action.ids)
            else:
                assert not self.stopped
                assert len(action.jobs) > 0
                self.offered.append(action)

    def launching(self, action: Submit) -> Sequence[Job]:
        """Withdraw the jobs that were killed meanwhile; return the others."""
        killed = [each for each in action.jobs if each.id in self.killed]
        if killed:
            self.apply(Withdrawn(action.backend, killed))
        return [each for each in action.jobs if each.id not in self.killed]

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def launch(self, data: st.DataObject) -> None:
        action = self.offered.pop(0)
        jobs = self.launching(action)
        accepted: dict[str, JobHandle] = {}
        for each in jobs:
            answer = data.draw(st.sampled_from(["runs", "queued", "done", "busy"]))
            if answer == "busy":
                if data.draw(st.booleans()):  # it breaks the contract: it said first that the job runs
                    self.apply((JobProgressEvent(each.id, 1, JobStatus.RUNNING, self.now),))
                continue
            accepted |= handles([each], self.now if answer != "queued" else None)
            self.launched.append(each.id)
            if answer == "done":
                self.apply((ended(each.id, data.draw(ENDS), self.now),))
                self.ended.append(each.id)
            else:
                self.flying.add(each.id)
        self.apply(Submitted(action.backend, jobs, accepted))

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def launch_raises(self, data: st.DataObject) -> None:
        action = self.offered.pop(0)
        jobs = self.launching(action)
        for each in jobs:
            if data.draw(st.booleans()):
                self.apply((ended(each.id, JobStatus.KILLED, self.now),))
                self.ended.append(each.id)
        self.apply(SubmissionFailed(action.backend, jobs, "it raised"))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), status=ENDS)
    def end(self, data: st.DataObject, status: JobStatus) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.flying)))
        self.flying.remove(job_id)
        self.apply((ended(job_id, status, self.now),))
        self.ended.append(job_id)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), status=st.sampled_from(JobStatus))
    def progress(self, data: st.DataObject, status: JobStatus) -> None:
        """Also to a status that is none of progress, from a backend that breaks the contract."""
        job_id = data.draw(st.sampled_from(sorted(self.flying)))
        self.apply((JobProgressEvent(job_id, 1, status, self.now, "note"),))

    @rule(data=st.data())
    def stray_events(self, data: st.DataObject) -> None:
        before = self.plan.statistics().stray_events
        ids = data.draw(st.lists(st.sampled_from(["stranger", *self.ended]), max_size=2))
        for job_id in ids:
            self.apply((ended(job_id),))
        assert self.plan.statistics().stray_events == before + len(ids)

    @rule(seconds=st.sampled_from([0.01, 1.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(capacity=st.integers(0, 3))
    def mem(self, capacity: int) -> None:
        self.apply(CapacityChanged("mem", capacity))

    @precondition(lambda self: self.count)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        job_id = f"j{data.draw(st.integers(0, self.count - 1))}"
        self.apply(KillRequested([job_id], "somebody"))

    @rule(drain=st.booleans(), sure=st.integers(0, 9))
    def stop(self, drain: bool, sure: int) -> None:
        if sure == 0:
            self.decide()
            self.apply(StopRequested("somebody", drain=drain))
            self.stopped = True

    @rule(name=st.sampled_from(sorted(BACKENDS)), sure=st.integers(0, 9))
    def backend_goes(self, name: str, sure: int) -> None:
        if sure == 0:
            self.flying = {job_id for job_id in self.flying if (self.jobs[job_id].backend or "any") != name}
            self.apply(BackendEnded(name, "gone"))

    @invariant()
    def sane(self) -> None:
        if hasattr(self, "plan"):
            self.plan.sanity_check()

    def teardown(self) -> None:
        """Whatever happened, the run can be brought to its end, and then every job has a result."""
        if not hasattr(self, "plan"):
            return
        self.apply(CapacityChanged("mem", 3))
        for _ in range(20 * self.count + 50):
            if not self.plan.unfinished:
                break
            self.now += 60
            self.decide()
            for action in self.offered:
                jobs = self.launching(action)
                self.apply(Submitted(action.backend, jobs, handles(jobs, self.now)))
                for each in jobs:
                    self.apply((ended(each.id, at=self.now),))
            self.offered.clear()
            for job_id in self.flying:
                self.apply((ended(job_id),))
            self.flying.clear()
        self.plan.sanity_check()
        assert not self.plan.unfinished, "jobs are left, and nothing starts"
        assert len(self.plan.results()) == self.plan.statistics().total


TestPlan = PlanMachine.TestCase
TestPlan.settings = settings(max_examples=60, stateful_step_count=40)
