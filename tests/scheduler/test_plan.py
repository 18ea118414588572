"""The plan, by facts and actions alone: order, limits, failure, stopping, busy backends, fairness."""

from __future__ import annotations

import logging
import math
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.errors import GraphError, ResourceError
from runtime.job import JobCompletionEvent, JobProgressEvent, JobStatus
from runtime.scheduler.actions import Submit
from runtime.scheduler.arbiter import GRANTS_BEFORE_CLAIM
from runtime.scheduler.backoff import FIRST_DELAY, LONGEST_DELAY
from runtime.scheduler.facts import JobsAdded, RunEnded, SubmissionFailed, Submitted
from runtime.scheduler.resources import ResourcePool
from tests.scheduler.planning import Driven, ended, handles, job

FAILED, PASSED = JobStatus.FAILED, JobStatus.PASSED
LONG = 10 * sys.getrecursionlimit()
"""Jobs of a chain that no recursion gets through. `test_run` has a run of 100,000."""


def test_a_job_starts_when_what_it_needs_has_passed() -> None:
    run = Driven([job("build"), job("sim", "build"), job("cov", "sim")])
    assert run.dispatch() == ["build"]
    assert run.dispatch() == []
    run.end("build")
    assert run.dispatch() == ["sim"]
    run.end("sim")
    assert run.dispatch() == ["cov"]
    run.end("cov")
    assert run.plan.unfinished == 0
    assert set(run.statuses().values()) == {"PASSED"}


def test_fan_out_and_fan_in() -> None:
    run = Driven([job("build"), *(job(f"s{i}", "build") for i in range(5)), job("merge", *(f"s{i}" for i in range(5)))])
    run.dispatch()
    run.end("build")
    assert run.dispatch() == ["s0", "s1", "s2", "s3", "s4"]
    for i in (3, 0, 4, 1):
        run.end(f"s{i}")
        assert run.dispatch() == []
    run.end("s2")
    assert run.dispatch() == ["merge"]


def test_who_needs_all_does_not_run_when_one_fails_and_does_not_wait_for_the_others() -> None:
    run = Driven([job("a"), job("b"), job("both", "a", "b"), job("after", "both")])
    run.dispatch()
    run.end("a", FAILED)
    assert run.statuses() == {"a": "FAILED", "b": "", "both": "KILLED", "after": "KILLED"}
    assert run.kind("both") == run.kind("after") == "dependency"
    run.end("b")
    assert run.dispatch() == []
    assert run.plan.unfinished == 0


def test_who_needs_any_waits_for_all_and_runs_if_one_passed() -> None:
    any_of = job("any", "a", "b", needs_all_dependencies_passing=False)
    run = Driven([job("a"), job("b"), any_of])
    run.dispatch()
    run.end("a")
    assert run.dispatch() == []
    run.end("b", FAILED)
    assert run.dispatch() == ["any"]


def test_who_needs_any_does_not_run_if_none_passed() -> None:
    run = Driven([job("a"), job("b"), job("any", "a", "b", needs_all_dependencies_passing=False)])
    run.dispatch()
    run.end("a", FAILED)
    run.end("b", FAILED)
    assert run.statuses()["any"] == "KILLED"
    assert run.kind("any") == "dependency"


@pytest.mark.parametrize("ends", [(PASSED, PASSED), (PASSED, FAILED), (FAILED, FAILED), (JobStatus.KILLED, FAILED)])
def test_who_runs_when_others_have_ended_runs_however_they_ended(ends: tuple[JobStatus, JobStatus]) -> None:
    run = Driven([job("a"), job("b"), job("report", "a", "b", run_if="ended"), job("after", "report")])
    run.dispatch()
    run.end("a", ends[0])
    assert run.dispatch() == []
    run.end("b", ends[1])
    assert run.dispatch() == ["report"]
    run.end("report")
    assert run.dispatch() == ["after"]


def test_who_runs_when_others_have_ended_runs_if_they_never_ran() -> None:
    jobs = [job("build"), job("test", "build"), job("report", "test", run_if="ended"), job("mail", "report", "test")]
    run = Driven(jobs)
    run.dispatch()
    run.end("build", FAILED)
    assert run.dispatch() == ["report"]
    assert run.kind("mail") == "dependency"
    added = job("late", "test", "build", run_if="ended")
    run.add([added])
    assert run.dispatch() == ["late"]


def test_who_was_killed_by_hand_has_ended() -> None:
    run = Driven([job("a"), job("b", "a"), job("report", "b", run_if="ended")])
    run.dispatch()
    run.kill(["b"], "somebody")
    assert run.dispatch() == ["report"]
    run.kill(["report"], "somebody")
    assert [kill.ids for kill in run.killed] == []
    run.dispatch()
    assert [kill.ids for kill in run.killed] == [["report"]]


@pytest.mark.parametrize("drain", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_a_run_that_is_stopped_starts_nothing_more_whatever_it_is(drain: bool, order: int) -> None:
    jobs = [
        job("going"),
        job("waits", weight=-1),
        job("after going", "going", run_if="ended"),
        job("after waits", "waits", run_if="ended"),
        job("chain", "after waits", run_if="ended"),
    ]
    run = Driven(jobs[::order], max_parallelism=1)
    assert run.dispatch() == ["going"]
    run.stop("somebody", drain=drain)
    assert run.dispatch() == []
    run.end("going")
    assert run.dispatch() == []
    assert run.plan.unfinished == 0
    assert {run.kind(name) for name in ("waits", "after going", "after waits", "chain")} == {"cancelled"}
    run.add([job("late", "going", run_if="ended")])
    assert run.dispatch() == []
    assert run.kind("late") == "cancelled"


def test_the_failure_that_stops_a_run_starts_no_job_that_waited_for_it() -> None:
    run = Driven([job("a"), job("report", "a", run_if="ended"), job("b")], max_parallelism=1, max_failures=1)
    assert run.dispatch() == ["a"]
    run.end("a", FAILED)
    assert run.dispatch() == []
    assert run.kind("report") == "cancelled"


@pytest.mark.parametrize("why", ["gone", "stopped"])
def test_a_long_chain_that_runs_in_any_case_ends_without_recursion(why: str) -> None:
    count = LONG
    jobs = [job("j0"), *(job(f"j{i}", f"j{i - 1}", run_if="ended") for i in range(1, count))]
    run = Driven(jobs[:1], {"fake": None, "other": None})
    run.dispatch()
    run.add(jobs[1:])
    run.dispatch()
    if why == "gone":
        run.lose("fake")
    else:
        run.stop("somebody")
        run.end("j0")
    assert run.plan.unfinished == 0
    assert run.kind(f"j{count - 1}") == ("backend_error" if why == "gone" else "cancelled")


def test_who_runs_in_any_case_runs_elsewhere_when_a_backend_is_gone() -> None:
    jobs = [job("a"), job("report", "a", run_if="ended", backend="other"), job("here", "a", run_if="ended")]
    run = Driven(jobs, {"fake": None, "other": None})
    run.dispatch()
    run.lose("fake")
    assert run.dispatch() == ["report"]
    assert run.kind("here") == "backend_error"


@pytest.mark.parametrize(
    ("words", "ids"),
    [({"run_if": "ended"}, ["foreign"]), ({"run_if": "any-passed", "needs_all_dependencies_passing": 1}, [])],
)
def test_a_foreign_job_may_say_when_it_runs_in_our_words(words: dict[str, Any], ids: list[str]) -> None:
    foreign = SimpleNamespace(id="foreign", dependencies=["a"], backend=None, resources=None, weight=1, **words)
    run = Driven([job("a"), foreign])
    run.dispatch()
    run.end("a", FAILED)
    assert run.dispatch() == ids
    foreign.run_if, foreign.id = "always", "other"
    with pytest.raises(
        GraphError, match="job 'other': run_if is 'always'; expected 'passed' or 'any-passed' or 'ended'"
    ):
        run.add([foreign])


def test_a_failure_at_the_head_of_a_long_chain_reaches_its_end_without_recursion() -> None:
    count = LONG
    run = Driven([job("j0"), *(job(f"j{i}", f"j{i - 1}") for i in range(1, count))])
    run.decide()
    run.apply((ended("j0", FAILED),))
    assert run.plan.unfinished == 0
    statuses = [result.status for result in run.plan.results()]
    assert len(statuses) == count
    assert statuses.count(JobStatus.KILLED) == count - 1


@pytest.mark.parametrize(("width", "backend"), [(3, None), (None, 3)])
def test_no_more_run_than_may(width: int | None, backend: int | None) -> None:
    run = Driven([job(f"j{i}") for i in range(10)], {"fake": backend}, max_parallelism=width)
    assert run.dispatch() == ["j0", "j1", "j2"]
    run.end("j1")
    assert run.dispatch() == ["j3"]
    assert run.dispatch() == []


def test_a_full_backend_holds_up_no_other() -> None:
    jobs = [*(job(f"slow{i}", weight=9) for i in range(5)), *(job(f"quick{i}", backend="other") for i in range(3))]
    run = Driven(jobs, {"fake": 1, "other": 2})
    assert sorted(run.dispatch()) == ["quick0", "quick1", "slow0"]
    run.end("quick0")
    assert run.dispatch() == ["quick2"]


def test_among_backends_the_best_head_goes_first() -> None:
    jobs = [
        job("a1", weight=1),
        job("b2", weight=2, backend="b"),
        job("a3", weight=3),
        job("b4", weight=4, backend="b"),
    ]
    run = Driven(jobs, {"a": None, "b": None}, max_parallelism=2)
    assert sorted(run.dispatch()) == ["a3", "b4"]
    run.end("a3")
    assert run.dispatch() == ["b2"]


def test_heavier_first_then_longer_timeout_then_more_dependents_then_first_come() -> None:
    jobs = [
        job("light", weight=0),
        job("plain"),
        job("short", timeout=1),
        job("long", timeout=9),
        job("needed"),
        job("heavy", weight=2),
        job("last", "needed"),
    ]
    run = Driven(jobs, max_parallelism=1)
    order = []
    while run.plan.unfinished:
        order += run.dispatch()
        run.end(order[-1])
    assert order == ["heavy", "needed", "plain", "last", "long", "short", "light"]


def test_the_timeout_of_a_foreign_job_may_be_called_timeout_secs() -> None:
    def foreign(name: str, timeout_secs: float | None) -> Any:
        asked = ("id", "dependencies", "backend", "resources", "weight", "needs_all_dependencies_passing")
        spec = job(name)
        return SimpleNamespace(**{field: getattr(spec, field) for field in asked}, timeout_secs=timeout_secs)

    run = Driven([foreign("short", 1), foreign("none", None), foreign("long", 60), job("own", timeout=30)])
    assert run.dispatch() == ["none", "long", "own", "short"]


def test_the_priority_can_be_replaced() -> None:
    run = Driven([job("b"), job("a"), job("c")], max_parallelism=1, priority=lambda spec, _dependents: spec.name)
    assert run.dispatch() == ["c"]
    run.end("c")
    assert run.dispatch() == ["b"]


@pytest.mark.parametrize("wrong", [math.nan, "raise", [], object()])
def test_a_priority_that_raises_or_cannot_be_ordered_is_replaced_by_the_default(
    wrong: object, caplog: pytest.LogCaptureFixture
) -> None:
    def priority(spec: object, _dependents: int) -> object:
        if getattr(spec, "name", "") == "bad":
            if wrong == "raise":
                raise ZeroDivisionError
            return wrong
        return 1.0

    with caplog.at_level(logging.ERROR):
        run = Driven([job("a"), job("bad", weight=3), job("c")], max_parallelism=1, priority=priority)
        order = []
        while run.plan.unfinished:
            order += run.dispatch()
            run.end(order[-1])
    assert order == ["bad", "a", "c"]
    assert len(caplog.records) == 1


def test_equal_weight_of_zero_still_runs() -> None:
    run = Driven([job("a", weight=0), job("b", weight=0)])
    assert run.dispatch() == ["a", "b"]


# ---------------------------------------------------------------------- resources


def test_a_scarce_resource_holds_up_only_those_who_need_it() -> None:
    jobs = [
        *(job(f"lic{i}", weight=9, resources={"licence": 1}) for i in range(4)),
        *(job(f"free{i}") for i in range(3)),
    ]
    run = Driven(jobs, resources={"licence": 2})
    assert run.dispatch() == ["lic0", "lic1", "free0", "free1", "free2"]
    run.end("lic0")
    assert run.dispatch() == ["lic2"]


def test_all_of_a_resource_is_used_alone() -> None:
    jobs = [job("one", resources={"disk": 1}), job("all", resources={"disk": None}), job("two", resources={"disk": 1})]
    run = Driven(jobs, resources={"disk": 8})
    assert run.dispatch() == ["one", "two"]
    run.end("one")
    assert run.dispatch() == []
    run.end("two")
    assert run.dispatch() == ["all"]


def test_an_impossible_need_is_an_error_before_anything_runs() -> None:
    with pytest.raises(ResourceError, match="needs 9 of resource 'licence', and its limit is 2"):
        Driven([job("a"), job("big", resources={"licence": 9})], resources={"licence": 2})


def test_a_limit_that_changes_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    run = Driven([job(f"j{i}", resources={"lic": 2}) for i in range(3)], resources=ResourcePool(dynamic=["lic"]))
    assert run.dispatch() == []
    run.limit("lic", 1)
    assert "3 jobs need 2 of resource 'lic', and its limit is now 1" in caplog.text
    assert run.dispatch() == []
    run.limit("lic", 4)
    assert run.dispatch() == ["j0", "j1"]
    run.limit("lic", 1)
    run.end("j0")
    run.end("j1")
    assert run.dispatch() == []
    run.limit("lic", 2)
    assert run.dispatch() == ["j2"]


def test_a_job_passed_over_a_hundred_times_gets_the_resource_next() -> None:
    small = [job(f"small{i}", resources={"lic": 1}) for i in range(3 * GRANTS_BEFORE_CLAIM)]
    run = Driven([*small, job("big", resources={"lic": 2})], resources={"lic": 2})
    started = run.dispatch()
    assert started == ["small0", "small1"]
    order = list(started)
    while "big" not in order:
        run.end(order[-2] if order[-2] in run.flying else order[-1])
        order += run.dispatch()
    assert GRANTS_BEFORE_CLAIM <= order.index("big") <= GRANTS_BEFORE_CLAIM + 4
    run.end("big")
    assert len(run.dispatch()) == 2


def test_claims_do_not_wait_for_each_other() -> None:
    jobs = [
        *(job(f"x{i}", resources={"x": 1}) for i in range(GRANTS_BEFORE_CLAIM + 20)),
        *(job(f"y{i}", resources={"y": 1}) for i in range(GRANTS_BEFORE_CLAIM + 20)),
        job("both", resources={"x": 2, "y": 2}),
        job("other", resources={"y": 2, "x": 2}, weight=0),
        job("third", resources={"x": 2}, weight=0),
    ]
    run = Driven(jobs, resources={"x": 2, "y": 2})
    done = 0
    while run.plan.unfinished:
        run.dispatch()
        assert run.flying, "nothing runs, and jobs are left"
        run.end(next(iter(run.flying)))
        done += 1
    assert done == len(jobs)


def test_limits_hold_over_a_long_mixed_run() -> None:
    jobs = [
        job(f"j{i}", resources={"a": i % 3, "b": i % 4} if i % 5 else None, backend="other" if i % 2 else None)
        for i in range(2_000)
    ]
    run = Driven(jobs, {"fake": 4, "other": 3}, resources={"a": 4, "b": 5}, max_parallelism=6)
    specs = {each.id: each for each in jobs}
    steps = 0
    while run.plan.unfinished:
        run.dispatch() if steps % 97 == 0 else run.history.extend(_quick_dispatch(run))
        assert len(run.flying) <= 6
        for name, limit in (("a", 4), ("b", 5)):
            assert sum((specs[job_id].resources or {}).get(name) or 0 for job_id in run.flying) <= limit
        job_id = next(iter(run.flying))
        del run.flying[job_id]
        run.apply((ended(job_id),))
        steps += 1
    assert steps == len(jobs)


def _quick_dispatch(run: Driven) -> list[str]:
    """As `Driven.dispatch`, without the check of all invariants."""
    ids = []
    for action in run.plan.decide(run.now):
        assert isinstance(action, Submit)
        run.flying.update({each.id: 1 for each in action.jobs})
        run.apply(Submitted(action.backend, action.jobs, handles(action.jobs, 0.0)))
        ids += [each.id for each in action.jobs]
    return ids


# ---------------------------------------------------------------------- busy backends


def test_a_refused_job_holds_nothing_and_comes_again_after_a_delay_that_grows() -> None:
    run = Driven(
        [job("a", resources={"lic": 1}), job("b", resources={"lic": 1}, backend="other")],
        {"fake": 1, "other": 1},
        resources={"lic": 1},
    )
    assert run.dispatch(refuse=["a"]) == ["a"]
    assert run.plan.statistics().resources == {"lic": (0, 1)}
    assert run.dispatch() == ["b"]
    run.end("b")
    delays = []
    for _ in range(12):
        retry_at = run.plan.wake_at(run.now)
        delays.append(retry_at - run.now)
        run.now = math.nextafter(retry_at, 0)
        assert run.dispatch() == []
        run.now = retry_at
        assert run.dispatch(refuse=["a"]) == ["a"]
    assert delays[0] == FIRST_DELAY
    assert delays == sorted(delays)
    assert delays[-1] == pytest.approx(LONGEST_DELAY)


def test_a_busy_backend_is_probed_with_few_jobs_and_then_more() -> None:
    run = Driven([job(f"j{i}") for i in range(100)])
    everything = [f"j{i}" for i in range(100)]
    assert len(run.dispatch(refuse=everything)) == 100
    sizes = []
    while len(run.flying) < 100:
        run.now = max(run.now, run.plan.wake_at(run.now))
        sizes.append(len(run.dispatch()))
    assert sizes[:4] == [1, 2, 4, 8]
    assert list(run.flying) == everything


def test_a_completion_makes_a_busy_backend_worth_asking_again() -> None:
    run = Driven([job("a"), job("b")])
    assert run.dispatch(refuse=["b"]) == ["a", "b"]
    assert run.dispatch() == []
    run.end("a")
    assert run.dispatch() == ["b"]


def test_a_job_that_is_refused_for_too_long_ends_as_busy() -> None:
    run = Driven([job("a"), job("after", "a")], busy_timeout=60)
    while run.plan.unfinished:
        run.dispatch(refuse=["a"])
        run.now = max(run.now, run.plan.wake_at(run.now)) if run.plan.unfinished else run.now
    assert run.kind("a") == "busy"
    assert run.kind("after") == "dependency"
    assert 60 <= run.now <= 60 + LONGEST_DELAY


# ---------------------------------------------------------------------- events


def test_events_that_belong_to_nothing_in_flight_are_dropped_and_counted() -> None:
    run = Driven([job("a"), job("b", "a")])
    run.apply((JobCompletionEvent("stranger", 1, JobStatus.PASSED, None, 0, 0, 0),))
    run.apply((JobCompletionEvent("b", 1, JobStatus.PASSED, None, 0, 0, 0),))
    run.dispatch()
    run.apply((JobCompletionEvent("a", 2, FAILED, None, 0, 0, 0),))
    run.end("a")
    run.apply((ended("a", FAILED),))
    run.apply((JobProgressEvent("a", 1, JobStatus.RUNNING, 0),))
    assert run.plan.statistics().stray_events == 5
    assert run.dispatch() == ["b"]
    assert run.statuses() == {"a": "PASSED", "b": ""}


@pytest.mark.parametrize("status", [JobStatus.SCHEDULED, PASSED])
def test_progress_to_a_status_that_is_none_is_dropped_and_counted(status: JobStatus) -> None:
    run = Driven([job("a")])
    run.dispatch()
    run.apply((JobProgressEvent("a", 1, status, 0.0), ended("a")))
    assert run.plan.statistics().stray_events == 1
    assert run.statuses() == {"a": "PASSED"}


def test_progress_after_the_end_is_dropped_also_within_a_batch() -> None:
    run = Driven([job("a")])
    run.dispatch()
    run.apply((ended("a"), JobProgressEvent("a", 1, JobStatus.QUEUED, 0.0)))
    run.plan.sanity_check()
    assert run.plan.statistics().stray_events == 1


def test_a_job_that_is_refused_after_it_was_said_to_run_is_queued_again() -> None:
    run = Driven([job("a")])
    action = run.decide()
    run.apply((JobProgressEvent("a", 1, JobStatus.RUNNING, 0.0),))
    run.apply(Submitted("fake", action.jobs, {}))
    run.plan.sanity_check()
    assert run.plan.statistics().counts[JobStatus.QUEUED] == 1


def test_a_submission_that_raises_ends_those_of_its_jobs_that_have_not_ended() -> None:
    run = Driven([job("a"), job("b"), job("c"), job("after", "b", run_if="ended")])
    action = run.decide()
    run.apply((ended("a"),))
    run.kill(["c"], "me")
    run.apply(SubmissionFailed("fake", action.jobs, "it raised"))
    assert run.statuses() == {"a": "PASSED", "b": "KILLED", "c": "KILLED", "after": ""}
    assert (run.kind("b"), run.kind("c")) == ("launch_error", "cancelled")
    assert run.dispatch() == ["after"]


def test_a_completion_may_come_before_its_submit_has_returned() -> None:
    run = Driven([job("a"), job("b", "a")])
    action = run.decide()
    run.apply((ended("a"),))
    (after,) = run.plan.decide(0.0)
    run.apply(Submitted("fake", action.jobs, handles(action.jobs, 0.0)))
    run.plan.sanity_check()
    assert isinstance(after, Submit)
    assert [each.id for each in after.jobs] == ["b"]


def test_a_completion_with_a_status_that_is_no_end_is_a_fault_of_the_backend() -> None:
    run = Driven([job("a")])
    run.dispatch()
    run.end("a", JobStatus.RUNNING)
    assert run.kind("a") == "backend_error"


def test_queue_time_and_run_time_are_two_things() -> None:
    run = Driven([job("a")])
    action = run.decide()
    run.plan.statuses.changes = []
    run.apply(Submitted("fake", action.jobs, handles(action.jobs, None)))
    assert run.plan.statuses.counts[JobStatus.QUEUED] == 1
    run.apply((JobProgressEvent("a", 1, JobStatus.QUEUED, 2.0, "Priority"),))
    run.apply((JobProgressEvent("a", 1, JobStatus.RUNNING, 3.0, "n1"),))
    run.apply((JobProgressEvent("a", 1, JobStatus.QUEUED, 4.0, "requeued"),))
    run.apply((JobProgressEvent("a", 1, JobStatus.RUNNING, 5.0, "n2"),))
    run.apply((ended("a", at=6.0),))
    moves = [(change.old.name, change.new.name, change.at, change.note) for change in run.plan.statuses.changes]
    assert moves == [
        ("QUEUED", "QUEUED", 2.0, "Priority"),
        ("QUEUED", "RUNNING", 3.0, "n1"),
        ("RUNNING", "QUEUED", 4.0, "requeued"),
        ("QUEUED", "RUNNING", 5.0, "n2"),
        ("RUNNING", "PASSED", 6.0, None),
    ]


def test_what_a_backend_that_has_gone_costs_does_not_stop_the_run() -> None:
    jobs = [job("build"), job("lost", "build", backend="other"), job("sim", "build")]
    run = Driven(jobs, backends={"fake": None, "other": None}, max_failures=1)
    run.dispatch()
    run.lose("other")
    run.apply(JobsAdded([job("late", backend="other")]))
    run.end("build")
    assert run.dispatch() == ["sim"]
    run.end("sim")
    assert run.statuses() == {"build": "PASSED", "lost": "KILLED", "sim": "PASSED", "late": "KILLED"}
    assert run.kind("lost") == run.kind("late") == "backend_error"
    assert run.plan.statistics().counted == {"passed": 2, "infrastructure": 2}
    run.plan.sanity_check()


def test_a_backend_that_has_gone_takes_only_its_own_jobs_with_it() -> None:
    jobs = [job("a"), job("b"), job("after", "a"), job("other", backend="other"), job("needs", "b", backend="other")]
    run = Driven(jobs, {"fake": 1, "other": None})
    assert sorted(run.dispatch()) == ["a", "other"]
    run.lose("fake")
    run.flying.pop("a")
    assert [run.kind(name) for name in ("a", "b")] == ["backend_error", "backend_error"]
    assert run.statuses()["other"] == ""
    assert run.statuses()["needs"] == "KILLED"
    run.end("other")
    assert run.plan.unfinished == 0
    run.add([job("late")])
    run.dispatch()
    assert run.kind("late") == "backend_error"


# ---------------------------------------------------------------------- adding


def test_jobs_can_be_added_and_depend_on_what_has_ended() -> None:
    run = Driven([job("good"), job("bad"), job("going")])
    run.dispatch()
    run.end("good")
    run.end("bad", FAILED)
    run.add(
        [
            job("after good", "good"),
            job("after bad", "bad"),
            job("any", "bad", "good", needs_all_dependencies_passing=False),
            job("none", "bad", needs_all_dependencies_passing=False),
            job("wait", "good", "going"),
            job("chain", "after bad"),
        ]
    )
    assert run.dispatch() == ["after good", "any"]
    assert [run.kind(name) for name in ("after bad", "none", "chain")] == ["dependency"] * 3
    run.end("going")
    assert run.dispatch() == ["wait"]


def test_a_job_is_ready_if_what_it_needs_ends_before_it_is_taken_in() -> None:
    run = Driven([job("good"), job("bad")])
    run.dispatch()
    run.add([job("after good", "good"), job("after bad", "bad")])
    run.end("good")
    run.end("bad", FAILED)
    run.plan.sanity_check()
    assert run.dispatch() == ["after good"]
    assert run.kind("after bad") == "dependency"


def test_adding_is_all_or_nothing() -> None:
    run = Driven([job("a")])
    for wrong in ([job("b"), job("a")], [job("b"), job("c", "d")], [job("b"), job("c", backend="nowhere")]):
        with pytest.raises(GraphError):
            run.add(wrong)
    assert run.dispatch() == ["a"]
    assert list(run.statuses()) == ["a"]


# ---------------------------------------------------------------------- killing and stopping


def test_killing_what_waits_ends_it_and_what_runs_is_asked() -> None:
    run = Driven([job("a", weight=2), job("b"), job("after", "b"), job("c")], max_parallelism=1)
    run.dispatch()
    run.kill(["a", "b"], "me")
    assert run.statuses() == {"a": "", "b": "KILLED", "after": "KILLED", "c": ""}
    assert (run.kind("b"), run.kind("after")) == ("cancelled", "dependency")
    assert run.dispatch() == []
    assert [(kill.ids, kill.by) for kill in run.killed] == [(["a"], "me")]
    run.end("a")
    assert run.statuses()["a"] == "PASSED"  # it had ended by itself, and keeps its true status
    assert run.dispatch() == ["c"]


def test_killing_an_unknown_job_is_an_error_and_kills_nothing() -> None:
    run = Driven([job("a")])
    with pytest.raises(GraphError, match="there is no job 'x'"):
        run.kill(["a", "x"], "me")
    assert run.dispatch() == ["a"]


def test_a_job_killed_between_decision_and_launch_is_not_launched() -> None:
    run = Driven([job("a"), job("b")])
    action = run.decide()
    run.kill(["a"], "me")
    run.withdraw(action, "a")
    run.plan.sanity_check()
    assert run.kind("a") == "cancelled"


def test_a_killed_job_that_is_refused_does_not_come_again() -> None:
    run = Driven([job("a")])
    action = run.decide()
    run.kill(["a"], "me")
    run.apply(Submitted("fake", action.jobs, {}))
    assert run.kind("a") == "cancelled"


def test_stop_ends_what_waits_as_cancelled_and_kills_what_runs() -> None:
    run = Driven([job("a"), job("b", "a"), job("c", "b"), job("d")], max_parallelism=1)
    run.dispatch()
    run.stop("SIGINT")
    assert run.dispatch() == []
    assert {name: run.kind(name) for name in ("b", "c", "d")} == dict.fromkeys("bcd", "cancelled")
    assert [(kill.ids, kill.by, kill.force) for kill in run.killed] == [(["a"], "SIGINT", False)]
    run.stop("SIGINT", force=True)
    run.dispatch()
    assert run.killed[-1].force
    run.end("a", JobStatus.KILLED)
    assert run.plan.unfinished == 0


def test_stop_with_drain_lets_what_runs_end() -> None:
    run = Driven([job("a"), job("b", "a")])
    run.dispatch()
    run.stop("me", drain=True)
    assert run.dispatch() == []
    assert not run.killed
    run.end("a")
    assert run.statuses() == {"a": "PASSED", "b": "KILLED"}


def test_jobs_added_after_a_stop_end_at_once() -> None:
    run = Driven([job("a")])
    run.stop("me")
    run.add([job("b"), job("c", "b")])
    run.dispatch()
    assert run.kind("b") == run.kind("c") == "cancelled"


def test_the_run_stops_after_so_many_failures_not_counting_what_follows_from_them() -> None:
    jobs = [job("a"), job("b", "a"), job("c", "b"), job("d"), job("e"), job("f")]
    run = Driven(jobs, max_failures=2, max_parallelism=1)
    run.dispatch()
    run.end("a", FAILED)
    assert run.dispatch() == ["d"]
    run.end("d", FAILED)
    assert run.dispatch() == []
    assert run.statuses() == {"a": "FAILED", "b": "KILLED", "c": "KILLED", "d": "FAILED", "e": "KILLED", "f": "KILLED"}
    assert run.kind("e") == "cancelled"


def test_finishing_gives_every_job_a_result() -> None:
    run = Driven([job("a"), job("b", "a"), job("c")])
    run.dispatch()
    run.end("c")
    run.apply(RunEnded("the end"))
    assert run.statuses() == {"a": "KILLED", "b": "KILLED", "c": "PASSED"}
    run.plan.sanity_check()


def test_priorities_of_two_kinds_are_replaced_by_the_default(caplog: pytest.LogCaptureFixture) -> None:
    run = Driven(
        [job("a"), job("b", weight=2)], max_parallelism=1, priority=lambda spec, _: 1 if spec.id == "a" else "x"
    )
    with caplog.at_level(logging.ERROR):
        assert run.dispatch() == ["b"]
    assert len(caplog.records) == 1


def test_what_a_backend_sees_to_itself_needs_no_limit_here() -> None:
    jobs = [
        job("both", backend="farm", resources={"cpus": 4, "licence": 1}),
        job("only", backend="farm", resources={"cpus": 4}),
        job("licence", backend="farm", resources={"licence": 1}),
    ]
    driven = Driven(jobs, {"here": None, "farm": None}, resources={"licence": 1}, provided={"farm": {"cpus"}})
    assert driven.dispatch() == ["both", "only"]
    with pytest.raises(ResourceError, match="'cpus', which has no limit"):
        Driven([job("here", resources={"cpus": 1})], {"here": None, "farm": None}, provided={"farm": {"cpus"}})


def test_what_has_a_limit_here_is_counted_here_as_well() -> None:
    jobs = [job(name, resources={"cpus": 4}) for name in ("one", "two")]
    assert Driven(jobs, resources={"cpus": 4}, provided={"fake": {"cpus"}}).dispatch() == ["one"]
