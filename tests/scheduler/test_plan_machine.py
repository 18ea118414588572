"""Any order of facts: hypothesis drives the plan, and `sanity_check` is the oracle."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.job import RUN_IFS, JobProgressEvent, JobStatus
from runtime.scheduler.actions import Kill
from runtime.scheduler.graph import IN_FLIGHT, Graph, Node
from runtime.scheduler.plan import Plan
from runtime.scheduler.resources import ResourcePool
from runtime.scheduler.sanity import sanity_check
from tests.scheduler.planning import ended, job, receipt

BACKENDS = {"one": 1, "few": 3, "any": None}
ENDS = st.sampled_from([JobStatus.PASSED, JobStatus.PASSED, JobStatus.FAILED, JobStatus.KILLED])
NEEDS = st.dictionaries(st.sampled_from(["lic", "mem"]), st.sampled_from([0, 1, 2, None]), max_size=2)


class PlanMachine(RuleBasedStateMachine):
    """A shell that carries out the plan's actions, with any delay."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.count = 0
        self.offered: list[list[Node]] = []
        self.flying: dict[str, Node] = {}
        self.asked_to_die: set[str] = set()
        self.launched: list[str] = []
        self.ended: list[str] = []
        self.stopped = False

    @initialize(width=st.sampled_from([None, 1, 4]), failures=st.sampled_from([None, 3]))
    def begin(self, width: int | None, failures: int | None) -> None:
        pool = ResourcePool({"lic": 2}, dynamic=["mem"])
        self.plan = Plan(BACKENDS, "any", max_parallelism=width, resources=pool, max_failures=failures, busy_timeout=30)

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
        self.plan.add(jobs)

    @rule()
    def dispatch(self) -> None:
        for action in self.plan.decide(self.now):
            if isinstance(action, Kill):
                self.asked_to_die.update(action.ids)
            else:
                assert not self.stopped
                assert len(action.nodes) > 0
                self.offered.append(list(action.nodes))

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def launch(self, data: st.DataObject) -> None:
        nodes = self.plan.launching(self.offered.pop(0), self.now)
        accepted = {}
        for node in nodes:
            answer = data.draw(st.sampled_from(["runs", "queued", "done", "busy"]))
            if answer == "busy":
                continue
            accepted[node.id] = receipt(node, self.now if answer != "queued" else None)
            self.launched.append(node.id)
            if answer == "done":
                self.plan.received((ended(node, data.draw(ENDS), self.now),), self.now)
                self.ended.append(node.id)
            else:
                self.flying[node.id] = node
        self.plan.submitted(nodes, accepted, self.now)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), status=ENDS)
    def end(self, data: st.DataObject, status: JobStatus) -> None:
        node = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        self.plan.received((ended(node, status, self.now),), self.now)
        self.ended.append(node.id)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), status=st.sampled_from([JobStatus.QUEUED, JobStatus.RUNNING]))
    def progress(self, data: st.DataObject, status: JobStatus) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.flying)))
        self.plan.received((JobProgressEvent(job_id, 1, status, self.now, "note"),), self.now)

    @rule(data=st.data())
    def stray_events(self, data: st.DataObject) -> None:
        before = self.plan.stray
        for job_id in data.draw(st.lists(st.sampled_from(["stranger", *self.ended]), max_size=2)):
            (node,) = Graph().add([job(job_id)])
            node.attempt = 1
            self.plan.received((ended(node),), self.now)
            before += 1
        assert self.plan.stray == before

    @rule(seconds=st.sampled_from([0.01, 1.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(capacity=st.integers(0, 3))
    def mem(self, capacity: int) -> None:
        self.plan.capacity_changed("mem", capacity)

    @precondition(lambda self: self.count)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        job_id = f"j{data.draw(st.integers(0, self.count - 1))}"
        self.plan.kill([job_id], "somebody", self.now)

    @rule(drain=st.booleans(), sure=st.integers(0, 9))
    def stop(self, drain: bool, sure: int) -> None:
        if sure == 0:
            self.dispatch()
            self.plan.stop("somebody", self.now, drain=drain)
            self.stopped = True

    @rule(name=st.sampled_from(sorted(BACKENDS)), sure=st.integers(0, 9))
    def backend_goes(self, name: str, sure: int) -> None:
        if sure == 0:
            for job_id in [other for other, node in self.flying.items() if node.queue.backend.name == name]:
                del self.flying[job_id]
            self.plan.backend_gone(name, "gone", self.now)

    @invariant()
    def sane(self) -> None:
        if hasattr(self, "plan"):
            sanity_check(self.plan)

    def teardown(self) -> None:
        """Whatever happened, the run can be brought to its end, and then every job has a result."""
        if not hasattr(self, "plan"):
            return
        self.plan.capacity_changed("mem", 3)
        for _ in range(20 * self.count + 50):
            if not self.plan.unfinished:
                break
            self.now += 60
            self.dispatch()
            for nodes in self.offered:
                wanted = self.plan.launching(nodes, self.now)
                self.plan.submitted(wanted, {node.id: receipt(node, self.now) for node in wanted}, self.now)
                self.flying.update({node.id: node for node in wanted if node.place is IN_FLIGHT})
            self.offered.clear()
            for node in self.flying.values():
                self.plan.received((ended(node),), self.now)
            self.flying.clear()
        sanity_check(self.plan)
        assert not self.plan.unfinished, "jobs are left, and nothing starts"
        assert len(self.plan.results()) == sum(self.plan.counts.values())


TestPlan = PlanMachine.TestCase
TestPlan.settings = settings(max_examples=60, stateful_step_count=40)
