"""Failures in a plan: whose they are, which count for the limit, what depends on them, and which are known."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from runtime.backend.fake import FakeBackend
from runtime.job import CustomKind, FailureClass, FailureKind, JobStatus, JobStatusInfo, Kind, Retry
from runtime.job.protocol import Job
from runtime.scheduler.run import Scheduler
from tests.scheduler.planning import Driven, job

NETWORK = CustomKind("network")
KINDS = {"network": ["unreachable"]}


def known(a_job: Job, reason: JobStatusInfo) -> str | None:
    return "a bug" if a_job.id.startswith("known") and "exit code" in reason.message else None


def reason_of(run: Driven, job_id: str) -> JobStatusInfo:
    reason = run.result(job_id).reason
    assert reason is not None
    return reason


@pytest.mark.parametrize("kind", [FailureKind.LICENCE, FailureKind.TIMEOUT, NETWORK])
@pytest.mark.parametrize("run_if", ["passed", "any-passed"])
def test_a_job_that_did_not_run_counts_as_what_was_at_the_beginning_of_the_chain(kind: Any, run_if: Any) -> None:
    run = Driven([job("build"), job("test", "build", run_if=run_if), job("report", "test", run_if=run_if)])
    run.dispatch()
    run.fail("build", kind)
    for job_id in ("test", "report"):
        reason = reason_of(run, job_id)
        assert (reason.kind, reason.cause) == (FailureKind.DEPENDENCY, kind)
        assert run.result(job_id).failure_class is kind.failure_class
    name = "infrastructure" if kind.is_infrastructure else "killed"
    assert run.plan.statistics().counted[name] == (3 if kind.is_infrastructure else 1)


def test_a_job_that_needs_one_that_was_cancelled_is_in_neither_class() -> None:
    run = Driven([job("build"), job("test", "build")])
    run.dispatch()
    run.fail("build", FailureKind.CANCELLED)
    assert run.result("test").failure_class is FailureClass.NEITHER


def test_a_job_added_after_the_failure_that_it_needs_counts_as_that() -> None:
    run = Driven([job("build")])
    run.dispatch()
    run.fail("build", FailureKind.LICENCE)
    run.add([job("test", "build")])
    run.dispatch()
    assert reason_of(run, "test").cause is FailureKind.LICENCE


def test_only_failures_of_the_design_that_are_not_known_count_for_the_limit() -> None:
    names = ["licence", "network", "lost", "known", "bad", "next"]
    run = Driven([*map(job, names), job("after", "licence")], max_failures=1, max_parallelism=1, known=known)
    kinds: list[Kind] = [FailureKind.LICENCE, NETWORK, FailureKind.LOST]
    for name, kind in zip(names[:3], kinds, strict=True):
        assert run.dispatch() == [name]
        run.fail(name, kind)
    assert run.dispatch() == ["known"]
    run.fail("known")
    assert run.dispatch() == ["bad"]
    run.fail("bad")
    assert run.dispatch() == []
    assert run.kind("next") == "cancelled"
    assert run.plan.statistics().counted == {
        "passed": 0,
        "infrastructure": 4,
        "known": 1,
        "failed": 1,
        "never_ran": 1,
    }


def test_a_failure_of_a_kind_of_ones_own_is_retried_by_its_name() -> None:
    tried = job("a", kinds=KINDS, retry=Retry({"network": 1}, delay=0, flaky="fail"))
    run = Driven([tried])
    run.dispatch()
    run.fail("a", NETWORK)
    assert run.dispatch() == ["a"]
    run.end("a")
    assert run.result("a").status is JobStatus.PASSED  # not flaky: it was not its own failure
    assert [each.kind for each in run.result("a").earlier] == [NETWORK]


def test_a_known_failure_has_its_name_and_so_has_what_depends_on_it() -> None:
    jobs = [job("known.x"), job("test", "known.x"), job("other"), job("known.licence"), job("known.passes")]
    run = Driven(jobs, known=known)
    run.dispatch()
    run.fail("known.x")
    run.fail("other")
    run.fail("known.licence", FailureKind.LICENCE)
    run.end("known.passes")
    names = {result.id: result.known for result in run.plan.results()}
    assert names == {
        "known.x": "a bug",
        "test": "a bug",
        "other": None,
        "known.licence": None,  # only the design has bugs that are known
        "known.passes": None,
    }
    assert run.plan.statistics().counted == {"passed": 1, "failed": 1, "infrastructure": 1, "known": 2}


def test_a_known_failure_is_tried_again_and_told_once() -> None:
    asked: list[str] = []

    def ask(a_job: Job, reason: JobStatusInfo) -> str | None:
        asked.append(reason.message)
        return known(a_job, reason)

    run = Driven([job("known", retry=Retry(1, delay=0))], known=ask)
    run.dispatch()
    run.fail("known")
    assert asked == []
    run.dispatch()
    run.fail("known")
    assert run.result("known").known == "a bug"
    assert asked == ["exit code 1"]


def test_a_job_that_waits_for_another_attempt_when_the_run_stops_ends_with_its_known_failure() -> None:
    run = Driven([job("known", retry=Retry(1, delay=60))], known=known)
    run.dispatch()
    run.fail("known")
    run.stop("SIGINT")
    assert run.result("known").known == "a bug"


def test_what_a_function_raises_is_logged_and_the_failure_is_not_known(caplog: pytest.LogCaptureFixture) -> None:
    def ask(_job: Job, _reason: JobStatusInfo) -> str | None:
        raise LookupError("boom")

    run = Driven([job("a")], known=ask)
    run.dispatch()
    with caplog.at_level(logging.ERROR, "runtime.scheduler"):
        run.fail("a")
    assert run.result("a").known is None
    assert "whether the failure of job 'a' is known cannot be told" in caplog.text


def test_what_is_no_function_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"known is 'x'; expected a function of a job and the reason of its failure"):
        Scheduler([], FakeBackend(), known="x")  # type: ignore[arg-type]  # what a caller may pass
