from __future__ import annotations

import signal

import pytest

from runtime.job import FailureKind, JobStatus, JobStatusInfo
from runtime.verdict import PASSED, FailingLine, Judgement, Verdict, signal_name
from runtime.verdict.decide import decide

FAILURE = FailingLine("E", 17, "  E: bad", ("cause",), ("next",))
TAIL = tuple("abcdefghij")


def failed(kind: FailureKind, message: str, lines: object = None, context: tuple[str, ...] | None = None) -> Verdict:
    return Verdict(JobStatus.FAILED, JobStatusInfo(message, lines, context, kind))  # type: ignore[arg-type]  # a table


def test_exit_code_zero_and_a_clean_log_pass() -> None:
    assert decide(0, None) is PASSED
    log = Judgement(tail=TAIL, lines=10)
    assert decide(0, None, log) == PASSED
    assert decide(0, None, log).log is log


def test_a_verdict_has_what_the_log_says_and_is_compared_without() -> None:
    log = Judgement(tail=TAIL, lines=30)
    for verdict in (decide(3, None, log), decide(0, None, log)):
        assert verdict.log is log
        assert verdict.passed is (verdict.status is JobStatus.PASSED) is (verdict.reason is None)
        assert verdict == Verdict(verdict.status, verdict.reason)
    assert decide(3, None, unreadable="gone").log is None


def test_an_exit_code_is_named_first_and_comes_with_the_last_lines() -> None:
    log = Judgement(missing=("P",), tail=TAIL, lines=30)
    assert decide(3, None, log) == failed(FailureKind.EXIT_CODE, "exit code 3", [(21, 30)], TAIL)


def test_a_fail_pattern_is_named_after_an_exit_code() -> None:
    log = Judgement(FAILURE, tail=TAIL, lines=30)
    message = "exit code 255; a fail pattern matched: E: bad"
    context = ("cause", "  E: bad", "next", *TAIL)
    assert decide(255, None, log) == failed(FailureKind.EXIT_CODE, message, [17, (16, 18), (21, 30)], context)


@pytest.mark.parametrize(("end", "left"), [(28, 10), (27, 9), (19, 1), (18, 0)])
def test_a_failing_line_near_the_end_is_shown_once(end: int, left: int) -> None:
    tail = tuple(f"line {number}" for number in range(end - 9, end + 1))
    verdict = decide(3, None, Judgement(FAILURE, tail=tail, lines=end))
    assert verdict.reason is not None
    first = min(16, end - 9)
    assert verdict.reason.lines == [17, (first, end)]
    assert verdict.reason.context == (*tail[: 16 - first], "cause", "  E: bad", "next", *tail[10 - left :])


def test_a_signal_is_named() -> None:
    assert decide(None, 11) == failed(FailureKind.SIGNAL, "ended by SIGSEGV")
    assert decide(None, 11, core_dumped=True) == failed(FailureKind.SIGNAL, "ended by SIGSEGV (core dumped)")
    assert signal_name(9) == "SIGKILL"
    assert signal_name(signal.SIGRTMIN + 3) == "SIGRTMIN+3"
    assert signal_name(99) == "signal 99"


def test_a_fail_pattern_goes_before_a_missing_pass_pattern() -> None:
    log = Judgement(FAILURE, ("P",), TAIL, 30)
    message = "a fail pattern matched: E: bad"
    assert decide(0, None, log) == failed(
        FailureKind.FAIL_PATTERN, message, [17, (16, 18)], ("cause", "  E: bad", "next")
    )


def test_missing_pass_patterns_are_named() -> None:
    log = Judgement(missing=("P",), tail=TAIL, lines=10)
    message = "pass pattern not found: 'P'"
    assert decide(0, None, log) == failed(FailureKind.PASS_PATTERN_MISSING, message, [(1, 10)], TAIL)
    both = decide(0, None, Judgement(missing=("P", "Q"), lines=0))
    assert both == failed(FailureKind.PASS_PATTERN_MISSING, "pass patterns not found: 'P', 'Q'")


def test_a_log_that_cannot_be_judged_fails_a_job_that_would_pass() -> None:
    message = "its log could not be judged: gone"
    assert decide(0, None, unreadable="gone") == failed(FailureKind.LOG_UNREADABLE, message)
    assert decide(3, None, unreadable="gone") == failed(FailureKind.EXIT_CODE, f"exit code 3; {message}")


def test_if_only_the_end_was_read_no_lines_are_numbered() -> None:
    assert decide(3, None, Judgement(tail=TAIL)) == failed(FailureKind.EXIT_CODE, "exit code 3", None, TAIL)


def test_a_message_quotes_at_most_the_beginning_of_a_line() -> None:
    verdict = decide(0, None, Judgement(FailingLine("E", 1, "x" * 1000), lines=1))
    assert verdict.reason is not None
    assert verdict.reason.message == "a fail pattern matched: " + "x" * 199 + "…"
    assert verdict.reason.context == ("x" * 1000,)
