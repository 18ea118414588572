"""Any order of facts: hypothesis drives the plan, and its `sanity_check` is the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.job import RUN_IFS, CustomKind, FailureKind, JobHandle, JobProgressEvent, JobSpec, JobStatus, Kind, Retry
from runtime.job.protocol import Job
from runtime.scheduler.actions import Kill, Submit
from runtime.scheduler.dispatcher import BackendLimits
from runtime.scheduler.facts import (
    BackendEnded,
    CapacityChanged,
    Fact,
    JobsAdded,
    KillRequested,
    LimitRequested,
    PauseRequested,
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
RETRIES = st.sampled_from(
    [None, None, Retry(2, delay=0), Retry({"exit_code": 1, "launch_error": 1, "busy": 1}, delay=9)]
)
KINDS: st.SearchStrategy[Kind] = st.sampled_from([FailureKind.EXIT_CODE, CustomKind("lic"), CustomKind("mem")])
"""Of the last two a failure lowers the limit of the resource of that name."""
NEEDS = st.dictionaries(st.sampled_from(["lic", "mem"]), st.sampled_from([0, 1, 2, None]), max_size=2)


class PlanMachine(RuleBasedStateMachine):
    """A shell that carries out the plan's actions, with any delay."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.count = 0
        self.jobs: dict[str, JobSpec] = {}
        self.offered: list[Submit] = []
        self.answers: list[Submitted] = []
        """Those that were overtaken by other facts so far."""
        self.flying: dict[str, int] = {}
        """By id: the number of the attempt."""
        self.killed: set[str] = set()
        self.ended: list[tuple[str, int]] = []
        self.stopped = False
        self.paused = False

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
                "retry": data.draw(RETRIES),
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
                assert not self.paused
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
            attempt = action.attempts.get(each.id, 1)
            if answer == "busy":
                if data.draw(st.booleans()):  # it breaks the contract: it said first that the job runs
                    self.apply((JobProgressEvent(each.id, attempt, JobStatus.RUNNING, self.now),))
                continue
            accepted |= handles([each], self.now if answer != "queued" else None, action.attempts)
            if answer == "done":
                self.end_attempt(each.id, attempt, data.draw(ENDS))
            else:
                self.flying[each.id] = attempt
        self.answers.append(Submitted(action.backend, jobs, accepted, attempts=action.attempts))
        if data.draw(st.booleans()):
            self.answer()

    @precondition(lambda self: self.answers)
    @rule()
    def answer(self) -> None:
        """A backend answers in the order of its submissions, but completions, and further attempts, may come before."""
        for answer in self.answers:
            self.apply(answer)
        self.answers.clear()

    def end_attempt(self, job_id: str, attempt: int, status: JobStatus, kind: Kind = FailureKind.EXIT_CODE) -> None:
        self.apply((ended(job_id, status, self.now, attempt=attempt, kind=kind),))
        self.ended.append((job_id, attempt))

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def launch_raises(self, data: st.DataObject) -> None:
        action = self.offered.pop(0)
        jobs = self.launching(action)
        for each in jobs:
            if data.draw(st.booleans()):
                self.end_attempt(each.id, action.attempts.get(each.id, 1), JobStatus.KILLED)
        if data.draw(st.booleans()):
            self.decide()  # a further attempt may be submitted before the plan hears of the failure
        self.apply(SubmissionFailed(action.backend, jobs, "it raised", action.attempts))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), status=ENDS, kind=KINDS)
    def end(self, data: st.DataObject, status: JobStatus, kind: Kind) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.flying)))
        self.end_attempt(job_id, self.flying.pop(job_id), status, kind)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), status=st.sampled_from(JobStatus))
    def progress(self, data: st.DataObject, status: JobStatus) -> None:
        """Also to a status that is none of progress, from a backend that breaks the contract."""
        job_id = data.draw(st.sampled_from(sorted(self.flying)))
        self.apply((JobProgressEvent(job_id, self.flying[job_id], status, self.now, "note"),))

    @rule(data=st.data())
    def stray_events(self, data: st.DataObject) -> None:
        before = self.plan.statistics().stray_events
        strays = data.draw(st.lists(st.sampled_from([("stranger", 1), *self.ended]), max_size=2))
        for job_id, attempt in strays:
            self.apply((ended(job_id, attempt=attempt),))
        assert self.plan.statistics().stray_events == before + len(strays)

    @rule(seconds=st.sampled_from([0.01, 1.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(capacity=st.integers(0, 3))
    def mem(self, capacity: int) -> None:
        self.apply(CapacityChanged("mem", capacity))

    @rule(limit=st.sampled_from([None, 0, 1, 3]))
    def lic(self, limit: int | None) -> None:
        self.apply(LimitRequested("lic", limit, "somebody"))

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.apply(PauseRequested("somebody", paused))
        self.paused = paused

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
            self.flying = {
                job_id: attempt
                for job_id, attempt in self.flying.items()
                if (self.jobs[job_id].backend or "any") != name
            }
            self.apply(BackendEnded(name, "gone"))

    @invariant()
    def sane(self) -> None:
        if hasattr(self, "plan"):
            self.plan.sanity_check()

    def teardown(self) -> None:
        """Whatever happened, the run can be brought to its end, and then every job has a result."""
        if not hasattr(self, "plan"):
            return
        self.answer()
        self.apply(CapacityChanged("mem", 3))
        self.lic(3)
        self.pause(False)
        for _ in range(20 * self.count + 50):
            if not self.plan.unfinished:
                break
            self.now += 60
            self.decide()
            for action in self.offered:
                jobs = self.launching(action)
                taken = handles(jobs, self.now, action.attempts)
                self.apply(Submitted(action.backend, jobs, taken, attempts=action.attempts))
                for each in jobs:
                    self.apply((ended(each.id, at=self.now, attempt=action.attempts.get(each.id, 1)),))
            self.offered.clear()
            for job_id, attempt in self.flying.items():
                self.apply((ended(job_id, attempt=attempt),))
            self.flying.clear()
        self.plan.sanity_check()
        assert not self.plan.unfinished, "jobs are left, and nothing starts"
        results = self.plan.results()
        assert len(results) == self.plan.statistics().total
        for result in results:
            numbers = [each.attempt for each in (*result.earlier, result.event)]
            assert numbers == [*range(1, len(numbers) + 1)] or numbers == [0]
            assert not result.earlier or self.jobs[result.id].retry is not None


TestPlan = PlanMachine.TestCase
TestPlan.settings = settings(max_examples=60, stateful_step_count=40)
