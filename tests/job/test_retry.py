"""`Retry`: which failures are tried again, how often, and after which delay."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from runtime.errors import SpecError
from runtime.job import RETRIED_KINDS, CustomKind, FailureKind, JobSpec, Kinds, Retry
from runtime.job.retry import LONGEST_RETRY_DELAY, RETRY_JITTER
from runtime.journal import digest

NEVER = {FailureKind.CANCELLED, FailureKind.DEPENDENCY, FailureKind.FLAKY}


@pytest.mark.parametrize("kind", [*FailureKind, None])
def test_a_number_is_for_all_failures_together_but_not_for_those_that_nobody_wants_again(
    kind: FailureKind | None,
) -> None:
    expected = kind not in {*NEVER, FailureKind.LOST}
    assert Retry(2).allows(kind, [FailureKind.TIMEOUT]) == expected
    assert not Retry(2).allows(kind, [FailureKind.TIMEOUT, None])
    assert not Retry(0).allows(kind, [])


@pytest.mark.parametrize("kind", FailureKind)
def test_each_kind_that_is_named_has_its_own_number(kind: FailureKind) -> None:
    if kind in NEVER:
        with pytest.raises(SpecError, match=f"retry names the kind '?<?.*{kind.value}.*; expected one of: exit_code, "):
            Retry({kind: 1})
        return
    retry = Retry({kind: 2})
    others = [other for other in RETRIED_KINDS if other is not kind]
    assert retry.allows(kind, [*others, kind])
    assert not retry.allows(kind, [kind, kind])
    assert not any(retry.allows(other, []) for other in [*others, None])


def test_a_delay_doubles_up_to_the_longest_with_a_jitter_that_is_always_the_same() -> None:
    retry = Retry(5, delay=10)
    for number in (1, 2, 3, 100, 10**6):
        least = min(10 * 2.0 ** min(number - 1, 50), LONGEST_RETRY_DELAY)
        waits = [retry.wait(f"job {i}", number) for i in range(100)]
        assert all(least <= wait <= (1 + RETRY_JITTER) * least for wait in waits)
        assert len(set(waits)) == 100
        assert waits == [Retry(5, delay=10).wait(f"job {i}", number) for i in range(100)]
    assert retry.wait("a", 1) == pytest.approx(12.22766, abs=1e-5)  # in every process, and with every version


def test_a_first_delay_above_the_longest_does_not_grow_and_none_stays_none() -> None:
    retry = Retry(5, delay=3600)
    assert 3600 <= retry.wait("a", 1) <= 5400
    assert 3600 <= retry.wait("a", 9) <= 5400
    assert Retry(5, delay=0).wait("\udcff", 3) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"times": -1},
            "retry is -1; expected a whole number from 0, or a mapping from kinds of failure to such numbers",
        ),
        ({"times": True}, "retry is True; expected a whole number from 0, or"),
        ({"times": 1.0}, "retry is 1.0; expected a whole number from 0, or"),
        ({"times": {"cancelled": 1}}, "retry names the kind 'cancelled'; expected one of: exit_code, signal, "),
        ({"times": {"No name": 1}}, "retry names the kind 'No name'; expected one of: exit_code, signal, "),
        ({"times": {7: 1}}, "retry names the kind 7; expected one of: exit_code, signal, "),
        ({"times": {"licence": -1}}, "retry is -1 for licence; expected a whole number from 0"),
        ({"times": {"licence": True}}, "retry is True for licence; expected a whole number from 0"),
        ({"times": 1, "delay": -1}, "the delay of retry is -1; expected seconds, from 0"),
        ({"times": 1, "delay": float("inf")}, "the delay of retry is inf; expected seconds, from 0"),
        ({"times": 1, "flaky": "maybe"}, "flaky is 'maybe'; expected 'pass' or 'fail'"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_it(options: Mapping[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        Retry(**options)  # type: ignore[arg-type]  # what a caller may pass


def test_a_specification_takes_what_a_retry_is_made_of() -> None:
    def of(given: object) -> object:
        return JobSpec(name="a", cmd="x", retry=given).retry  # type: ignore[arg-type]  # what a caller may pass

    assert of(2) == Retry(2)
    assert of({"licence": 5}) == Retry({FailureKind.LICENCE: 5})
    assert of(Retry(1, delay=0, flaky="fail")) == Retry(1, delay=0, flaky="fail")
    assert of(None) is of(0) is of({}) is None
    with pytest.raises(SpecError, match="job 'a': retry is 'x'; expected a whole number from 0"):
        of("x")


def test_a_kind_of_ones_own_is_one_of_the_job() -> None:
    kinds = Kinds({"network": ["unreachable"], "licence": ["no licence"]})
    job = JobSpec(name="a", cmd="x", kinds=kinds, retry={"network": 1, "timeout": 1})
    assert isinstance(job.retry, Retry)
    assert job.retry.allows(CustomKind("network"), [FailureKind.TIMEOUT])
    assert not job.retry.allows(CustomKind("network"), [CustomKind("network")])
    with pytest.raises(SpecError, match=r"job 'a': retry names the kind 'netwrok'; expected one of: .*, network$"):
        JobSpec(name="a", cmd="x", kinds=kinds, retry={"netwrok": 1})
    with pytest.raises(SpecError, match="job 'a': retry names the kind 'network'; expected one of: exit_code, "):
        JobSpec(name="a", cmd="x", retry=Retry({"network": 1}))


def test_what_is_given_can_be_changed_afterwards() -> None:
    given = {"licence": 1}
    retry = Retry(given)
    given["licence"] = 5
    assert not retry.allows(FailureKind.LICENCE, [FailureKind.LICENCE])


def test_how_often_a_job_is_tried_is_no_part_of_its_digest() -> None:
    plain = JobSpec(name="a", cmd="x")
    assert digest(plain) == digest(JobSpec(name="a", cmd="x", retry=Retry(3, flaky="fail")))
