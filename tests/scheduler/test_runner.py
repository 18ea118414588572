"""What a backend runner promises when several calls of its backend are in progress."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.fake import FakeBackend, FakeRun
from runtime.job import JobHandle, JobStatus
from runtime.scheduler.actions import Submit
from runtime.scheduler.plan import Plan
from runtime.scheduler.run import run_jobs
from runtime.scheduler.runner import BackendRunner
from tests.scheduler.planning import job


@pytest.mark.parametrize("round_", range(10))  # which of two tasks goes first is drawn
async def test_a_kill_in_the_instant_of_a_submission_is_not_lost(autojump_clock: MockClock, round_: int) -> None:
    plan = Plan({"fake": None}, "fake")
    plan.add([job("a"), job("b")])
    asked = 0

    def dispatch() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:  # the submission is under way, and has not begun
            plan.kill(["a"], "the test", trio.current_time())
        for action in plan.decide(trio.current_time()):
            if isinstance(action, Submit):
                runner.submit(action)
            else:
                runner.kill(action)
        if not plan.unfinished:
            runner.finish()

    backend = FakeBackend(lambda spec, _attempt: FakeRun(duration=math.inf if spec.name == "a" else 1))
    runner = BackendRunner("fake", backend, plan, dispatch)
    dispatch()
    with trio.fail_after(10):
        await runner.run("run")
    assert [result.status for result in plan.results()] == [JobStatus.KILLED, JobStatus.PASSED]


class RaisesFromSubmit(FakeBackend):
    """Breaks the contract: launches some jobs, then raises."""

    max_submissions = None

    async def submit_many(self, jobs: Any, *, attempts: Any = None) -> dict[str, JobHandle]:
        await super().submit_many(jobs, attempts=attempts)
        msg = "submission went wrong"
        raise ValueError(msg)


async def test_of_two_submissions_that_raise_none_waits_for_ever(autojump_clock: MockClock) -> None:
    jobs = [job("first", backend="bad"), job("quick", backend="good"), job("second", "quick", backend="bad")]
    takes = {
        "first": FakeRun(duration=math.inf, kill_duration=5),
        "second": FakeRun(duration=math.inf, kill_duration=4),
    }
    backends = {
        "good": FakeBackend(lambda _spec, _attempt: FakeRun(duration=1)),
        "bad": RaisesFromSubmit(lambda spec, _attempt: takes[spec.name]),
    }
    with trio.fail_after(100):
        results = await run_jobs(jobs, backends)
    assert [result.ended for result in results] == [5, 1, 5]
    assert [None if result.reason is None else str(result.reason.kind) for result in results] == [
        "cancelled",
        None,
        "cancelled",
    ]
