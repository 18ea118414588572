from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from itertools import islice

import attrs
import pytest
import xmlschema
from hypothesis import given
from junitparser import JUnitXml, TestSuite
from junitparser.junitparser import Error, Failure, Skipped
from junitparser.xunit2 import FlakyFailure, RerunError, RerunFailure
from junitparser.xunit2 import TestCase as Case

from runtime.job import FailureKind, JobResult, JobSpec
from runtime.journal import Record, Starting, replay
from runtime.report.junit import junit_lines
from tests.journal.strategies import RECORDS
from tests.report.results import result
from tests.report.states import records, state_of

RUN_DIR = "/out/20260102-030405-abcdef"
SCHEMA = xmlschema.XMLSchema(resources.files("runtime.report").joinpath("junit.xsd").read_text("utf-8"))


def suite_of(written: Sequence[Record], *, is_live: bool = False) -> TestSuite:
    """Return what junitparser reads of a run; it is as the schema says, too."""
    text = "".join(junit_lines(state_of(written, RUN_DIR), is_live=is_live))
    SCHEMA.validate(text)
    (suite,) = JUnitXml.fromstring(text.encode())
    return suite


def of(*results: JobResult[JobSpec]) -> dict[str, Case]:
    suite = suite_of(records(results, RUN_DIR))
    return {case.name: Case.fromelem(case) for case in suite}  # type: ignore[no-untyped-call]  # junitparser has few types


def tried(last: JobResult[JobSpec], *earlier: JobResult[JobSpec]) -> JobResult[JobSpec]:
    return JobResult(last.job, attrs.evolve(last.event, earlier=tuple(each.event for each in earlier)))


def test_what_is_for_others_than_those_who_wrote_a_job_is_an_error_and_what_did_not_run_is_skipped() -> None:
    ends = [
        result("a"),
        result("b", FailureKind.FAIL_PATTERN, "bad", lines=[1], context=["one", "two"], run_dir=RUN_DIR),
        result("c", FailureKind.LICENCE, "no licence"),
        result("d", FailureKind.DEPENDENCY, "a job that it needs did not pass: b", attempt=0),
        result("e", FailureKind.CANCELLED, "SIGINT", attempt=0),
        result("f", FailureKind.CANCELLED, "SIGINT"),
        result("g", FailureKind.EXIT_CODE, "exit code 1", known="credit_lost"),
        result("h", FailureKind.LAUNCH_ERROR, "no such program", attempt=0),
    ]
    suite = suite_of(records(ends, RUN_DIR, stopped_by="SIGINT"))
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("fifo", 8, 1, 3, 3)
    verdicts = {case.name: [(type(each), each.message, each.type) for each in case.result] for case in suite}
    assert verdicts == {
        "a": [],
        "b": [(Failure, "bad", "fail_pattern")],
        "c": [(Error, "no licence", "licence")],
        "d": [(Skipped, "a job that it needs did not pass: b", None)],
        "e": [(Skipped, "SIGINT", None)],
        "f": [(Error, "SIGINT", "cancelled")],
        "g": [(Skipped, "known failure credit_lost: exit code 1", None)],
        "h": [(Error, "no such program", "launch_error")],
    }
    (failure,) = next(case for case in suite if case.name == "b").result
    assert failure.text == f"one\ntwo\nlog: {RUN_DIR}/b/job.log\ncommand: cd /work && /bin/sh -c ./sim\nbucket: bad"
    properties = {each.name: each.value for each in suite.properties()}  # type: ignore[no-untyped-call]  # as above
    assert properties.pop("started").endswith("Z")
    assert properties == {
        "run": "20260102-030405-abcdef",
        "state": "ended",
        "run_dir": RUN_DIR,
        "directory": "/here",
        "seed_base": "7",
        "ended": "2001-09-09T01:46:45.500Z",
        "stopped_by": "SIGINT",
    }


def test_a_job_has_its_name_as_its_class_and_its_time() -> None:
    case = of(result("smoke", full_name="smoke.seed=3", seed=3))["smoke.seed=3"]
    assert (case.classname, case.time) == ("smoke", 2.5)


def test_a_flaky_job_passes_and_tells_of_its_failures_in_elements_and_in_text() -> None:
    failed = result("a", FailureKind.FAIL_PATTERN, "bad", context=["one"], run_dir=f"{RUN_DIR}/earlier")
    case = of(tried(result("a", attempt=2), failed))["a"]
    assert case.is_passed
    (flaky,) = case.flaky_failures()
    assert isinstance(flaky, FlakyFailure)
    log = f"log: {RUN_DIR}/earlier/a/job.log"
    assert (flaky.message, flaky.type, flaky.stack_trace) == ("bad", "fail_pattern", f"one\n{log}")
    assert case.system_out == f"flaky: passed on attempt 2\nattempt 1 failed: bad; {log}"


def test_a_job_that_passes_when_there_is_a_licence_is_not_flaky() -> None:
    case = of(tried(result("a", attempt=2), result("a", FailureKind.LICENCE, "none")))["a"]
    assert [*case.flaky_failures(), *case.flaky_errors()] == []
    assert case.system_out.startswith("attempt 1 failed: none; log: ")


def test_a_job_that_failed_again_and_again_has_its_last_failure_and_reruns() -> None:
    design, licence = result("a", FailureKind.TIMEOUT, "too long"), result("a", FailureKind.LICENCE, "none", attempt=2)
    case = of(tried(result("a", FailureKind.EXIT_CODE, "exit code 1", attempt=3), design, licence))["a"]
    assert [each.message for each in case.result] == ["exit code 1"]
    assert [(type(each), each.message) for each in case.rerun_failures()] == [(RerunFailure, "too long")]
    assert [(type(each), each.message) for each in case.rerun_errors()] == [(RerunError, "none")]


def test_of_a_live_run_what_has_not_ended_is_skipped_and_of_one_that_died_it_is_an_error() -> None:
    written = records([result("a")], RUN_DIR, ended=None, more=[JobSpec(name="b", cmd="x"), JobSpec(name="c", cmd="x")])
    written.append(Starting(2.0, "local", [1], [1]))
    live = suite_of(written, is_live=True)
    assert (live.tests, live.failures, live.errors, live.skipped) == (3, 0, 0, 2)
    assert [each.message for case in live for each in case.result] == [
        "the job is queued: the run has not ended",
        "the job is scheduled: the run has not ended",
    ]
    dead = suite_of(written)
    assert (dead.tests, dead.failures, dead.errors, dead.skipped) == (3, 0, 1, 1)


def test_bytes_that_xml_does_not_have_are_shown() -> None:
    evil = "\x00\x1b[31m<&>\"'\ud800\udce9\ufffe\x9b]]>\r\t\U0001f600"
    case = of(result(evil, FailureKind.EXIT_CODE, evil, lines=[1], context=[evil]))
    shown = "\\x00\\x1b[31m<&>\"'\\ud800\\xe9\\ufffe\\x9b]]>\r\t\U0001f600"
    assert list(case) == [shown]
    (failure,) = case[shown].result
    assert failure.message == shown
    assert failure.text.startswith(f"{shown}\nlog: ")


@pytest.mark.slow
@given(written=RECORDS)
def test_whatever_is_in_a_journal_the_text_is_valid_and_has_each_job_once(written: list[Record]) -> None:
    for is_live in (False, True):
        state = replay(written, RUN_DIR)
        suite = suite_of(written, is_live=is_live)
        assert suite.tests == len(state.numbers) == len(list(suite))
        tags = [each.tag for case in suite for each in case._elem]
        assert (suite.failures, suite.errors, suite.skipped) == tuple(map(tags.count, ("failure", "error", "skipped")))


def test_it_is_made_one_case_at_a_time() -> None:
    lines = junit_lines(state_of(records([result(f"{number}") for number in range(100)], RUN_DIR), RUN_DIR))
    assert max(map(len, islice(lines, 50))) < 400
