"""Which failures are known, and what is said about entries that have expired or matched nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from runtime.job import FailureKind, JobCompletionEvent, JobResult, JobSpec, JobStatus, JobStatusInfo
from runtime.job.known import MAX_MESSAGE, KnownFailure
from runtime.job.protocol import Job
from runtime.report.known_failures import KnownFailures

DAY = date(2026, 7, 1)
SMOKE = JobSpec(name="smoke", full_name="smoke.seed=1", cmd="x", tags=["nightly"])


def entry(name: str = "x", jobs: str = "*", message: str = "lost", expires: date = DAY) -> KnownFailure:
    return KnownFailure(name, (jobs,), message, "#1", expires)


def name_of(known: KnownFailures, message: str = "a beat was lost", job: JobSpec = SMOKE) -> str | None:
    return known.name_of(job, JobStatusInfo(message, kind=FailureKind.FAIL_PATTERN))


def result(
    status: JobStatus = JobStatus.PASSED, kind: FailureKind | None = None, job: JobSpec = SMOKE
) -> JobResult[Job]:
    reason = None if kind is None else JobStatusInfo("why", kind=kind, cause=FailureKind.EXIT_CODE)
    started = None if kind is FailureKind.DEPENDENCY else 1.0
    return JobResult(job, JobCompletionEvent(job.id, 1, status, reason, 0.0, started, 2.0))


def said(
    known: KnownFailures, results: Sequence[JobResult[Job]] = (result(),), *, is_selection: bool = False
) -> list[str]:
    return ["".join(text for text, _ in line) for line in known.lines(results, is_selection=is_selection)]


@pytest.mark.parametrize("jobs", ["*", "smoke", "smoke.seed=1", "smo*", "nightly", "*.seed=[12]"])
def test_a_failure_is_known_by_the_id_the_name_or_a_tag_of_its_job(jobs: str) -> None:
    assert name_of(KnownFailures([entry(jobs=jobs)], DAY)) == "x"


@pytest.mark.parametrize(("jobs", "message"), [("smok", "lost"), ("Smoke", "lost"), ("*", "Lost"), ("*", "^lost")])
def test_any_other_failure_is_not(jobs: str, message: str) -> None:
    known = KnownFailures([entry(jobs=jobs, message=message)], DAY)
    assert name_of(known) is None
    assert said(known) == ["known failures that matched nothing: x"]


def test_text_that_is_an_id_as_it_is_is_no_glob() -> None:
    job = JobSpec(name="a[b]", cmd="x")
    assert name_of(KnownFailures([entry(jobs="a[b]")], DAY), job=job) == "x"


def test_the_first_entry_that_matches_gives_the_name_and_all_that_match_have_matched() -> None:
    known = KnownFailures([entry("a"), entry("b"), entry("c", message="other")], DAY)
    assert name_of(known) == "a"
    assert said(known) == ["known failures that matched nothing: c"]


def test_on_its_day_an_entry_counts_and_on_the_next_it_has_expired_and_is_named() -> None:
    entries = [entry("old\x1b", expires=date(2026, 6, 30)), entry("new")]
    known = KnownFailures(entries, DAY)
    assert name_of(known) == "new"
    expired = KnownFailures(entries, date(2026, 7, 2))
    assert name_of(expired) is None
    assert said(expired) == [
        "known failure old\\x1b expired on 2026-06-30 and matches a failure that counts; issue: #1",
        "known failure new expired on 2026-07-01 and matches a failure that counts; issue: #1",
    ]
    assert name_of(expired) is None
    assert "matches 2 failures that count; issue" in said(expired)[0]


def test_the_message_is_that_of_the_summary_and_is_searched_to_a_limit() -> None:
    known = KnownFailures([entry(message="^exit code 3: assertion$"), entry("far", message="far away$")], DAY)
    reason = JobStatusInfo("exit code 3", context=["x", "assertion", ""], kind=FailureKind.EXIT_CODE)
    assert known.name_of(SMOKE, reason) == "x"
    assert name_of(known, "." * (MAX_MESSAGE - 8) + "far away") == "far"
    assert name_of(known, "." * MAX_MESSAGE + "far away") is None
    assert name_of(known, "\udcff\nfar away") == "far"  # by line, as in a log


@pytest.mark.parametrize(
    ("results", "is_selection", "is_named"),
    [
        ([result()], True, True),
        ([result(JobStatus.FAILED, FailureKind.EXIT_CODE)], True, True),
        ([result(JobStatus.KILLED, FailureKind.TIMEOUT)], True, True),
        ([result(JobStatus.FAILED, FailureKind.LICENCE)], False, False),
        ([result(JobStatus.KILLED, FailureKind.CANCELLED)], False, False),
        ([result(JobStatus.KILLED, FailureKind.DEPENDENCY)], False, False),
        ([result(JobStatus.KILLED, FailureKind.DEPENDENCY), result()], False, True),
        ([result(job=JobSpec(name="other", cmd="x"))], True, False),
        ([result(job=JobSpec(name="other", cmd="x"))], False, True),  # it means no job that there is
    ],
)
def test_an_entry_of_whose_jobs_none_had_a_verdict_is_not_said_to_have_matched_nothing(
    results: list[JobResult[Job]], is_selection: bool, is_named: bool
) -> None:
    expected = ["known failures that matched nothing: x"] if is_named else []
    assert said(KnownFailures([entry(jobs="smoke")], DAY), results, is_selection=is_selection) == expected
