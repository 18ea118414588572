"""Which failures are known, and what is said about entries that have expired or matched nothing."""

from __future__ import annotations

from datetime import date

import pytest

from runtime.job import FailureKind, JobSpec, JobStatusInfo
from runtime.job.known import MAX_MESSAGE, KnownFailure
from runtime.report.known_failures import KnownFailures

DAY = date(2026, 7, 1)
SMOKE = JobSpec(name="smoke", full_name="smoke.seed=1", cmd="x", tags=["nightly"])


def entry(name: str = "x", jobs: str = "*", message: str = "lost", expires: date = DAY) -> KnownFailure:
    return KnownFailure(name, (jobs,), message, "#1", expires)


def name_of(known: KnownFailures, message: str = "a beat was lost", job: JobSpec = SMOKE) -> str | None:
    return known.name_of(job, JobStatusInfo(message, kind=FailureKind.FAIL_PATTERN))


def said(known: KnownFailures) -> list[str]:
    return ["".join(text for text, _ in line) for line in known.lines()]


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
