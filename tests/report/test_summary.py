from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from runtime.job import CustomKind, FailureKind, JobResult, JobSpec, JobUsage
from runtime.report.summary import MAX_FAILURES, MAX_FLAKY, Line, summary
from tests.report.results import result

K = FailureKind
RUN_DIR = Path("/out/run")


def plain(lines: Sequence[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def summed(*results: JobResult[JobSpec]) -> list[str]:
    return plain(summary(results, RUN_DIR, seconds=75, relative_to=Path("/")))


def test_if_all_passed_there_is_one_line() -> None:
    assert summed(result("a"), result("b")) == ["2 jobs: 2 passed, 0 failed, 0 killed, in 1:15"]
    assert summed(result("a"))[-1].startswith("1 job: ")


def test_the_error_of_a_backend_is_shown_once() -> None:
    lines = summed(
        *(result(name, K.BACKEND_ERROR, "it broke", attempt=0) for name in "abc"), result("d", K.BACKEND_ERROR, "x")
    )
    assert lines[1:5] == [
        "  NO RUN a: it broke",
        "  NO RUN b: the same",
        "  NO RUN c: the same",
        "  INFRA  d: x  out/run/d/job.log",
    ]
    assert lines[7] == "     3 x it broke"


def test_failures_are_listed_before_kills_and_consequences_come_last() -> None:
    lines = summed(
        result("stopped", K.CANCELLED, "killed by SIGINT", attempt=0),
        result("slow", K.TIMEOUT, "ran too long"),
        result("ok"),
        result("bad", K.EXIT_CODE, "exit code 3", context=["no licence"]),
    )
    assert lines == [
        "Not passed",
        "  FAILED bad: exit code 3: no licence  out/run/bad/job.log",
        "  KILLED slow: ran too long  out/run/slow/job.log",
        "  NO RUN stopped: killed by SIGINT",
        "",
        "Failures by message",
        "     1 x exit code <n>: no licence",
        "         such as bad  out/run/bad/job.log",
        "         again:  cd /work && /bin/sh -c ./sim",
        "     1 x ran too long",
        "         such as slow  out/run/slow/job.log",
        "         again:  cd /work && /bin/sh -c ./sim",
        "",
        "4 jobs: 1 passed, 1 failed, 1 killed, 1 never ran, in 1:15",
    ]


def test_jobs_that_left_processes_running_are_listed() -> None:
    results = [
        result(f"job{number}", usage=JobUsage(left_behind=("sleep (pid 7)", "\x1b[31m (pid 8)")))
        for number in range(12)
    ]
    lines = summed(*results, result("clean"))
    assert lines[0].startswith("Left processes running, which were killed")
    assert lines[1] == "  job0: sleep (pid 7), \\x1b[31m (pid 8)"
    assert lines[11] == "  … and 2 more, in results.json"
    assert lines[-1].startswith("13 jobs: 13 passed")


def test_many_failures_are_counted_not_listed() -> None:
    lines = summed(*(result(f"job{n}", K.EXIT_CODE, "word " + "x" * n) for n in range(50)))
    assert sum(line.startswith("  FAILED") for line in lines) == MAX_FAILURES
    assert "  … and 30 more, in results.json" in lines
    assert "  … and 40 more messages" in lines


def test_nothing_that_a_job_says_reaches_the_terminal_raw() -> None:
    evil = "x\x1b[2J\u202e\n[red]"
    lines = summed(result(evil, K.EXIT_CODE, evil, context=[evil], cmd=["./sim", evil], cwd="/\x1b"))
    assert all(line.isprintable() for line in lines)
    assert "         again:  see results.json" in lines


def flaky(name: str, kind: FailureKind = K.EXIT_CODE) -> JobResult[JobSpec]:
    passed, failed = result(name, attempt=2), result(name, kind, "exit code 1", run_dir="/out/earlier")
    return JobResult(passed.job, attrs.evolve(passed.event, earlier=(failed.event,)))


def test_flaky_jobs_are_listed_and_counted() -> None:
    lines = summed(result("a"), flaky("b"), flaky("c", K.NODE_FAILURE))
    assert lines == [
        "Flaky: passed after a failure",
        "  b: passed on attempt 2; on attempt 1: exit code 1  out/earlier/b/job.log",
        "",
        "3 jobs: 3 passed, 0 failed, 0 killed, 1 of them flaky, in 1:15",
    ]


def test_of_many_flaky_jobs_some_are_listed() -> None:
    lines = summed(*(flaky(f"j{i}") for i in range(MAX_FLAKY + 3)))
    assert len(lines) == MAX_FLAKY + 4
    assert lines[-3] == "  … and 3 more, in results.json"


def test_known_failures_and_those_of_the_infrastructure_are_apart_and_come_first() -> None:
    lines = summed(
        result("ok"),
        result("bad", K.EXIT_CODE, "exit code 3"),
        result("late", K.LICENCE, "licence: none left; exit code 1"),
        result("net", CustomKind("network"), "network: unreachable"),
        result("test", K.DEPENDENCY, "it needs 'late', which ended as FAILED", attempt=0, cause=K.LICENCE),
        result("old", K.FAIL_PATTERN, "beat lost", known="credit"),
        result("after", K.DEPENDENCY, "it needs 'old', which ended as FAILED", attempt=0, known="credit"),
    )
    assert [line for line in lines if not line.startswith("         ")] == [
        "Known failures",
        "  KNOWN  old: beat lost (known: credit)  out/run/old/job.log",
        "  NO RUN after: it needs 'old', which ended as FAILED (known: credit)",
        "",
        "Not passed because of the infrastructure",
        "  INFRA  late: licence: none left; exit code 1  out/run/late/job.log",
        "  INFRA  net: network: unreachable  out/run/net/job.log",
        "  NO RUN test: it needs 'late', which ended as FAILED",
        "",
        "Failures of the infrastructure by message",
        "     1 x licence: none left; exit code <n>",
        "     1 x network: unreachable",
        "",
        "Not passed",
        "  FAILED bad: exit code 3  out/run/bad/job.log",
        "",
        "Failures by message",
        "     1 x exit code <n>",
        "",
        "7 jobs: 1 passed, 1 failed, 0 killed, 3 infrastructure, 2 known, in 1:15",
    ]
