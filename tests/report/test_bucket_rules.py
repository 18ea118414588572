from __future__ import annotations

import pytest

from runtime.errors import SpecError
from runtime.job import FailureKind, JobStatusInfo
from runtime.report.bucket_rules import MAX_LINE, NO_RULES, BucketRules, is_rule, rules_of
from runtime.report.buckets import BucketKey, bucket_of

RULES = BucketRules({"credits": ["credit .* lost", "^no credits"], "any error": ["ERROR"]})


def reason(message: str, *context: str) -> JobStatusInfo:
    return JobStatusInfo(message, None, context, FailureKind.EXIT_CODE)


def test_the_first_rule_that_matches_the_message_or_a_line_of_the_log_gives_the_bucket_its_name() -> None:
    assert bucket_of(reason("exit code 1", "ERROR", "no credits"), RULES) == BucketKey("credits", "credits")
    assert bucket_of(reason("exit code 1", "ERROR", "or no credits"), RULES) == BucketKey("any error", "any error")
    assert bucket_of(reason("credit 3 was lost"), RULES) == BucketKey("credits", "credits")
    assert bucket_of(reason("exit code 1", "fatal: gone"), RULES) == BucketKey("fatal: gone")
    assert bucket_of(reason("exit code 1", "no credits"), NO_RULES).rule is None
    assert RULES
    assert not NO_RULES


def test_a_pattern_sees_one_line_and_its_beginning_only() -> None:
    assert RULES.name_of(["credit", "lost"]) is None
    assert RULES.name_of(["credit \n lost"]) == "credits"  # a line of a message has no end in it
    assert RULES.name_of(["x" * MAX_LINE + "ERROR"]) is None
    assert RULES.name_of(["\udcff\0 ERROR"]) == "any error"
    assert RULES.name_of([]) is None


@pytest.mark.parametrize("pattern", [r"(x+x+)+y", r"(?!y)(x+)+", r"a.*b.*c.*d.*e"])
def test_a_pattern_that_may_be_slow_with_some_engine_is_no_rule(pattern: str) -> None:
    assert not is_rule(pattern)
    assert not BucketRules({"slow": [pattern]})


def test_a_pattern_that_is_none_is_an_error() -> None:
    with pytest.raises(SpecError):
        is_rule("(")


def test_patterns_that_re2_has_not_are_searched_by_python() -> None:
    rules = BucketRules({"a": [r"x(?=y)"], "b": ["z"]})
    assert [rules.name_of([line]) for line in ("xy", "xz", "x")] == ["a", "b", None]


@pytest.mark.parametrize(
    "given",
    [None, 3, "x", [], {"a": 3}, {"a": "x"}, {"a": ["("]}, {"a": [3, None]}, {"a": ["(x+x+)+y"]}, {"": []}],
)
def test_of_a_journal_that_a_job_has_written_what_is_no_rule_is_left_out(given: object) -> None:
    assert not rules_of({"buckets": given})
    assert rules_of({"buckets": {"a": [given, "ok"]}}).patterns == {"a": ("x", "ok") if given == "x" else ("ok",)}
