"""Jobs that are tried again: by the plan alone, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from runtime.job import FailureKind, JobCompletionEvent, JobPaths, JobProgressEvent, JobSpec, JobStatus, Retry
from runtime.job.protocol import Job
from runtime.job.retry import Flaky
from runtime.scheduler.facts import BackendEnded, RunEnded, SubmissionFailed, Submitted
from runtime.scheduler.plan import BUSY_TIMEOUT
from runtime.scheduler.statuses import StatusChange
from tests.scheduler.planning import Driven, ended, handles, job

FAILED, PASSED, KILLED = JobStatus.FAILED, JobStatus.PASSED, JobStatus.KILLED
NODE, CODE = FailureKind.NODE_FAILURE, FailureKind.EXIT_CODE


def tried(
    name: str = "a",
    *,
    times: int | Mapping[str, int] = 1,
    delay: float = 0,
    flaky: Flaky = "pass",
    **fields: Any,
) -> JobSpec:
    """A job that is tried again, at once."""
    return job(name, retry=Retry(times, delay, flaky), **fields)


def test_a_job_that_fails_is_tried_again_and_is_flaky_if_it_passes() -> None:
    run = Driven([tried(times=2), job("after", "a")])
    run.dispatch()
    run.fail("a")
    assert run.plan.unfinished == 2
    assert run.dispatch() == ["a"]
    run.fail("a", FailureKind.TIMEOUT)
    assert run.dispatch() == ["a"]
    assert run.flying == {"a": 3}
    run.end("a")
    assert run.dispatch() == ["after"]
    event = run.result("a")
    assert (event.status, event.attempt, event.is_flaky) == (PASSED, 3, True)
    assert [(each.attempt, each.kind, each.earlier) for each in event.earlier] == [
        (1, CODE, ()),
        (2, FailureKind.TIMEOUT, ()),
    ]


def test_when_no_retry_is_left_the_job_ends_with_its_last_failure() -> None:
    run = Driven([tried(times=1), job("after", "a")])
    run.dispatch()
    run.fail("a")
    run.dispatch()
    run.fail("a", FailureKind.SIGNAL)
    event = run.result("a")
    assert (event.status, event.attempt, event.kind, event.is_flaky) == (FAILED, 2, FailureKind.SIGNAL, False)
    assert [each.kind for each in event.earlier] == [CODE]
    assert run.statuses()["after"] == "KILLED"
    assert run.plan.unfinished == 0


def test_a_job_without_retry_and_one_that_passes_have_no_earlier_attempts() -> None:
    run = Driven([job("a"), tried("b"), tried("c")])
    run.dispatch()
    run.fail("a")
    run.end("b")
    run.fail("c")
    assert (run.result("a").attempt, run.result("a").earlier) == (1, ())
    assert (run.result("b").attempt, run.result("b").earlier, run.result("b").is_flaky) == (1, (), False)
    assert run.plan.unfinished == 1


def test_each_kind_has_its_own_number_of_retries() -> None:
    run = Driven([tried(times={"node_failure": 2, "exit_code": 1})])
    for kind in (NODE, CODE, NODE):
        run.dispatch()
        run.fail("a", kind)
        assert run.plan.unfinished == 1
    run.dispatch()
    run.fail("a", CODE)
    assert run.result("a").attempt == 4
    assert [each.kind for each in run.result("a").earlier] == [NODE, CODE, NODE]


def test_a_pass_after_failures_of_the_infrastructure_is_not_flaky() -> None:
    run = Driven([tried(times=2, flaky="fail")])
    for _ in range(2):
        run.dispatch()
        run.fail("a", NODE)
    run.dispatch()
    run.end("a")
    event = run.result("a")
    assert (event.status, event.is_flaky, len(event.earlier)) == (PASSED, False, 2)


def test_a_flaky_job_fails_if_that_is_asked_for_and_what_needs_it_does_not_run() -> None:
    run = Driven([tried(flaky="fail"), job("after", "a")])
    run.dispatch()
    run.fail("a")
    run.dispatch()
    run.end("a")
    event = run.result("a")
    assert (event.status, event.kind, event.is_flaky) == (FAILED, FailureKind.FLAKY, True)
    assert event.reason is not None
    assert event.reason.message == "flaky: it passed on attempt 2; on attempt 1: exit code 1"
    assert run.statuses()["after"] == "KILLED"


def test_a_job_waits_for_its_delay_which_grows_and_holds_no_slot_meanwhile() -> None:
    policy = Retry(3, delay=10)
    run = Driven([job("a", retry=policy), job("b")], {"fake": 1})
    assert run.dispatch() == ["a"]
    for number in (1, 2):
        run.fail("a")
        due = run.now + policy.wait("a", number)
        assert run.plan.statistics().in_flight == 0
        assert run.dispatch() == (["b"] if number == 1 else [])
        assert run.plan.wake_at(run.now) == due
        if number == 1:
            run.end("b")
        run.now = due - 0.001
        assert run.dispatch() == []
        run.now = due
        assert run.dispatch() == ["a"]
        assert run.plan.wake_at(run.now) == math.inf


def test_jobs_that_are_due_together_start_in_their_order() -> None:
    run = Driven([tried(name) for name in "cab"])
    run.dispatch()
    for name in "bca":
        run.fail(name)
    assert run.dispatch() == ["c", "a", "b"]


def test_a_retry_gives_back_its_resources_and_takes_them_again() -> None:
    run = Driven([tried(resources={"lic": 1}), job("b", resources={"lic": 1})], resources={"lic": 1})
    assert run.dispatch() == ["a"]
    run.fail("a")
    assert run.plan.statistics().resources == {"lic": (0, 1)}
    assert run.dispatch() == ["b"]
    run.end("b")
    assert run.dispatch() == ["a"]
    assert run.plan.statistics().resources == {"lic": (1, 1)}


@pytest.mark.parametrize("kind", [FailureKind.CANCELLED, FailureKind.LOST])
def test_what_somebody_killed_and_what_may_still_run_is_not_tried_again(kind: FailureKind) -> None:
    run = Driven([tried()])
    run.dispatch()
    run.fail("a", kind)
    assert run.result("a").kind is kind


def test_a_job_that_fails_while_it_is_being_killed_is_not_tried_again() -> None:
    run = Driven([tried()])
    run.dispatch()
    run.kill(["a"], "somebody")
    run.fail("a")
    assert run.result("a").kind is CODE


def test_a_run_that_is_stopped_tries_nothing_again() -> None:
    run = Driven([tried()])
    run.dispatch()
    run.stop("somebody", drain=True)
    run.fail("a")
    assert run.result("a").kind is CODE
    assert run.plan.unfinished == 0


@pytest.mark.parametrize("how", ["kill", "stop", "backend", "end", "max_failures"])
def test_a_job_that_waits_for_its_next_attempt_ends_with_its_last_failure(how: str) -> None:
    run = Driven([tried(delay=60), job("b")], max_failures=1 if how == "max_failures" else None)
    run.plan.statuses.completions = []
    run.dispatch()
    run.fail("a")
    match how:
        case "kill":
            run.kill(["a"], "somebody")
        case "stop":
            run.stop("somebody")
        case "backend":
            run.apply(BackendEnded("fake", "it broke"))
        case "end":
            run.apply(RunEnded("it is over"))
        case _:
            run.end("b", FAILED)
    event = run.result("a")
    assert (event.attempt, event.kind, event.earlier) == (1, CODE, ())
    run.now += 1000
    assert run.dispatch() == []
    run.plan.sanity_check()
    # In the journal, the end of an attempt that no other follows is the last that is said of the job.
    assert [each for each in run.plan.statuses.completions if each.job_id == "a"][-1] == event


def test_a_job_that_is_due_and_waits_for_a_slot_ends_with_its_last_failure() -> None:
    run = Driven([tried(), job("b", weight=5)], {"fake": 1})
    assert run.dispatch() == ["b"]
    run.end("b")
    assert run.dispatch() == ["a"]
    run.fail("a")
    run.add([job("c", weight=9)])
    assert run.dispatch() == ["c"]
    run.kill(["a"], "somebody")
    assert (run.result("a").attempt, run.result("a").kind) == (1, CODE)


def test_an_attempt_that_was_submitted_has_an_end_of_its_own() -> None:
    run = Driven([tried()])
    run.dispatch()
    run.fail("a")
    action = run.decide()
    assert action.attempts == {"a": 2}
    run.kill(["a"], "somebody")
    run.withdraw(action, "a")
    event = run.result("a")
    assert (event.attempt, event.status, event.kind) == (2, KILLED, FailureKind.CANCELLED)
    assert [each.attempt for each in event.earlier] == [1]


def test_a_submission_that_is_refused_is_no_attempt() -> None:
    run = Driven([tried()])
    run.dispatch()
    run.fail("a")
    for _ in range(3):
        assert run.dispatch(refuse=["a"]) == ["a"]
        run.now += 60
    assert run.dispatch() == ["a"]
    assert run.flying == {"a": 2}


def test_a_job_that_was_refused_for_too_long_can_be_tried_again_and_the_time_begins_anew() -> None:
    run = Driven([tried(times={"busy": 1})])
    for attempt in (1, 2):
        run.dispatch(refuse=["a"])
        run.now += BUSY_TIMEOUT - 1
        run.dispatch(refuse=["a"])
        assert run.plan.unfinished == 1
        run.now += 60
        run.dispatch(refuse=["a"])
        assert run.plan.unfinished == (1 if attempt == 1 else 0)
        run.now += 60
    assert [each.kind for each in (*run.result("a").earlier, run.result("a"))] == [FailureKind.BUSY] * 2


def test_a_submission_that_raises_is_tried_again_if_launch_errors_are() -> None:
    run = Driven([tried(times={"launch_error": 1})])
    action = run.decide()
    run.apply(SubmissionFailed("fake", action.jobs, "it raised"))
    assert run.dispatch() == ["a"]
    run.end("a")
    assert (run.result("a").attempt, run.result("a").is_flaky) == (2, False)


@pytest.mark.parametrize("answer", ["accepted", "completed", "raised"])
def test_an_answer_to_an_earlier_attempt_changes_nothing(answer: str) -> None:
    run = Driven([tried()])
    first = run.decide()
    run.apply((ended("a", FAILED),))
    second = run.decide()
    assert [each.id for each in second.jobs] == ["a"]
    if answer == "raised":
        run.apply(SubmissionFailed("fake", first.jobs, "it raised"))
    else:
        taken = handles(first.jobs, 0.0) if answer == "accepted" else {}
        run.apply(Submitted("fake", first.jobs, taken))
    run.plan.sanity_check()
    assert run.plan.statistics().in_flight == 1
    assert run.plan.statistics().counts[JobStatus.QUEUED] == 1
    run.apply(Submitted("fake", second.jobs, handles(second.jobs, 0.0, second.attempts), attempts=second.attempts))
    assert run.plan.statistics().counts[JobStatus.RUNNING] == 1
    run.apply((ended("a", attempt=2),))
    assert run.result("a").attempt == 2


def test_events_of_an_earlier_attempt_are_stray() -> None:
    run = Driven([tried()])
    run.dispatch()
    # The second completion of one attempt breaks the contract, and must not use up the retry.
    run.apply((ended("a", FAILED), ended("a", FAILED), JobProgressEvent("a", 1, JobStatus.RUNNING, 0.0)))
    assert run.plan.statistics().stray_events == 2
    del run.flying["a"]
    assert run.dispatch() == ["a"]
    run.apply((ended("a"), JobProgressEvent("a", 1, JobStatus.RUNNING, 0.0)))
    assert run.plan.statistics().stray_events == 4
    run.end("a")
    assert run.result("a").attempt == 2


def test_a_retry_continues_the_attempts_of_the_run_that_this_one_continues() -> None:
    run = Driven([tried()], first_attempts={"a": 4})
    run.dispatch()
    run.fail("a")
    run.dispatch()
    assert run.flying == {"a": 5}
    run.end("a")
    assert [each.attempt for each in run.result("a").earlier] == [4]


def test_watchers_and_the_journal_learn_of_each_attempt() -> None:
    run = Driven([tried(delay=60)])
    changes: list[StatusChange[Job]] = []
    completions: list[JobCompletionEvent] = []
    run.plan.statuses.changes, run.plan.statuses.completions = changes, completions
    retried = run.plan.statuses.retried
    run.dispatch()
    run.fail("a")
    again = changes[-1]
    assert (again.old, again.new) == (JobStatus.RUNNING, JobStatus.QUEUED)
    assert completions == []  # its attempt has ended, and it has not
    assert again.event is retried[-1]
    assert again.event is not None
    assert (again.event.attempt, again.event.status) == (1, FAILED)
    assert again.note is not None
    assert again.note.startswith("attempt 1 did not pass; the next one begins in ")
    run.now += 100
    run.dispatch()
    assert (changes[-2].new, changes[-2].note, changes[-2].event) == (JobStatus.QUEUED, None, None)
    run.end("a")
    assert [each.attempt for each in retried] == [1]
    assert [each.attempt for each in completions] == [2]
    assert [change.new for change in changes][-2:] == [JobStatus.RUNNING, PASSED]


def with_paths(event: JobCompletionEvent) -> JobCompletionEvent:
    return attrs.evolve(event, paths=JobPaths("/run/a", "/run/a/job.log", "/src"))


def test_an_earlier_attempt_has_the_paths_of_its_renamed_directory_once_another_one_has_begun() -> None:
    run = Driven([tried(times=2)])
    completions: list[JobCompletionEvent] = []
    run.plan.statuses.completions = completions
    for attempt in (1, 2):
        run.dispatch()
        run.apply((with_paths(ended("a", FAILED, attempt=attempt)),))
    run.kill(["a"], "somebody")
    event = run.result("a")
    moved = JobPaths("/run/a~attempt1", "/run/a~attempt1/job.log", "/src")
    assert (event.attempt, event.log_path) == (2, "/run/a/job.log")
    assert [each.paths for each in event.earlier] == [moved]
    assert [each.log_path for each in run.plan.statuses.retried] == [
        "/run/a~attempt1/job.log",
        "/run/a~attempt2/job.log",
    ]
    assert [each.log_path for each in completions] == ["/run/a/job.log"]


def test_a_job_that_fails_for_good_counts_as_one_failure() -> None:
    run = Driven([tried(), job("b"), job("c", "b")], max_failures=2)
    run.dispatch()
    run.fail("a")
    run.dispatch()
    run.fail("a")
    assert run.plan.stopped_by is None
    run.fail("b")
    assert run.plan.stopped_by == "the limit of 2 failures"
