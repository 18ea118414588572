from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.cli.options import parse
from runtime.job import CustomKind, FailureKind, JobResult, JobSpec, JobUsage
from runtime.job.known import KnownFailure
from runtime.report.again import Again
from runtime.report.group_lines import View
from runtime.report.known_issues import KNOWN, issues_of, known_details
from runtime.report.news import Change, Changed, History
from runtime.report.screen_fit import MOST, NO_SCREEN, screen_lines
from runtime.report.summary import Line
from runtime.report.summary_sections import summary_sections
from runtime.report.text import columns_of
from tests.report.results import result

K = FailureKind
RUN_DIR = Path("/out/run")
FILES = {"files": {"night.toml": ""}}


def plain(lines: Sequence[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def summed(
    *results: JobResult[JobSpec],
    screen: tuple[int, int] | None = None,
    details: Mapping[str, object] = FILES,
    **more: Any,
) -> list[str]:
    view = View.on(screen, Path("/out"))
    sections = summary_sections(results, view, Again(RUN_DIR, Path("/"), details), seconds=75, **more)
    return plain(screen_lines(sections, screen))


def test_if_all_passed_there_is_one_line() -> None:
    assert summed(result("a"), result("b")) == ["2 jobs: 2 passed, 0 failed, 0 killed, in 1:15"]
    assert summed(result("a"))[-1].startswith("1 job: ")


def test_the_error_of_a_backend_is_shown_once() -> None:
    lines = summed(
        *(result(name, K.BACKEND_ERROR, "it broke", attempt=0) for name in "abc"), result("d", K.BACKEND_ERROR, "x")
    )
    assert lines[:3] == [
        "Failures of the infrastructure (4 jobs, 2 messages)",
        "   3 x it broke",
        "       in a, b, c; shortest: a",
    ]


def test_each_failure_of_the_design_is_shown_by_its_shortest_job_and_the_others_apart() -> None:
    lines = summed(
        result("stopped", K.CANCELLED, "killed by SIGINT", attempt=0),
        result("slow", K.TIMEOUT, "ran too long"),
        result("ok"),
        result("bad", K.EXIT_CODE, "exit code 3", lines=[2, (1, 3)], context=["one", "ERROR: x\t1", "two"]),
        result("late", K.LICENCE, "licence: none left; exit code 1"),
        result("net", CustomKind("network"), "network: unreachable"),
        result("test", K.DEPENDENCY, "it needs 'late', which ended as FAILED", attempt=0, cause=K.LICENCE),
        result("old", K.FAIL_PATTERN, "beat lost", known="credit"),
        result("after", K.DEPENDENCY, "it needs 'old', which ended as FAILED", attempt=0, known="credit"),
    )
    assert lines == [
        "Failures of the design (2 jobs, 2 messages)",
        "   1 x ran too long",
        "       slow, 2.5 s",
        "       log:   run/slow/job.log",
        "       again: job-runtime rerun run slow --out out",
        "   1 x ERROR: x <n>",
        "       bad, 2.5 s",
        "       1: one",
        "       2> ERROR: x        1",
        "       3: two",
        "       log:   run/bad/job.log",
        "       again: job-runtime rerun run bad --out out",
        "Failures of the infrastructure (2 jobs, 2 messages)",
        "   1 x licence: none left; exit code <n>",
        "       late, 2.5 s",
        "       licence: none left; exit code 1",
        "       log:   run/late/job.log",
        "   1 x network: unreachable",
        "       net, 2.5 s",
        "       log:   run/net/job.log",
        "Known failures (2 jobs)",
        "   2 x credit: old, after",
        "Never ran (2 jobs, 2 messages)",
        "   1 x killed by SIGINT: stopped",
        "   1 x it needs 'late', which ended as FAILED: test",
        "9 jobs: 1 passed, 1 failed, 1 killed, 3 infrastructure, 2 known, 1 never ran, in 1:15",
    ]


def test_a_known_failure_has_its_issue_and_its_last_day() -> None:
    written = known_details([KnownFailure("credit", ("*",), "beat lost", "tracker/17\x1b", date(2126, 12, 31))])
    failed = [result(name, K.FAIL_PATTERN, "beat lost", known=name) for name in ("credit", "other")]
    lines = summed(*failed, issues=issues_of({KNOWN: {**written, "other": "no entry"}}))
    assert lines[1:3] == ["   1 x credit (tracker/17\\x1b, until 2126-12-31): credit", "   1 x other: other"]
    assert issues_of({KNOWN: 7}) == {}


def test_what_the_message_of_a_group_leaves_out_is_shown_of_its_shortest_job() -> None:
    lines = summed(result("a", K.EXIT_CODE, "exit code 3", context=["one"]), result("b", K.NODE_FAILURE, "n17 died"))
    assert lines[1:4] == ["   1 x exit code <n>: one", "       a, 2.5 s", "       exit code 3: one"]
    assert lines[7:10] == ["   1 x n<n> died", "       b, 2.5 s", "       n17 died"]


def test_what_the_failures_of_a_group_and_all_of_them_have_in_common_is_said() -> None:
    lines = summed(
        *(
            result(f"fifo.width={width}.seed={seed}", K.EXIT_CODE if width == 4 else None, "credit lost")
            for width in (4, 8)
            for seed in (1, 2)
        )
    )
    assert lines[2] == "       in fifo.width=4; shortest (2.5 s): fifo.width=4.seed=1"
    assert lines[5:8] == [
        "Pass rates: all failures have width=4",
        "  width=4 0 % of 2, width=8 100 % of 2",
        "  fifo 50 % of 4",
    ]


def test_what_changed_since_the_run_before_comes_first() -> None:
    changes = [
        Change("newly failing", [Changed(name) for name in "abcdefgh"]),
        Change("fixed", []),
        Change("slower", [Changed("\x1b", "9 s; the median of 5 passes is 1 s")]),
    ]
    lines = summed(result("a"), history=History("20260101-\x1b", changes))
    assert lines[:3] == [
        "Since 20260101-\\x1b",
        "  8 newly failing: a, b, c, d, e, f, …",
        "  1 slower: \\x1b, 9 s; the median of 5 passes is 1 s",
    ]
    failures = [result(f"{n}", K.EXIT_CODE, "old" if n else "young") for n in range(3)]
    lines = summed(*failures, history=History("x", new_messages={"young"}))
    assert [line for line in lines if " x " in line] == ["   1 x new: young", "   2 x old"]
    assert summed(result("a"), history=History("x", changes[1:2]))[0] == "Since x: nothing changed"
    assert len(summed(result("a"), history=History())) == 1


def test_waves_are_written_as_the_job_file_says() -> None:
    again = Again(Path("/out/results/run"), Path("/out"), {**FILES, "waves": ["--with", "+dump $x", 7]})
    assert again.command(result("a=1")) == "job-runtime rerun run a=1"
    assert again.with_waves("a=1") == "job-runtime rerun run a=1 --with '+dump $x'"
    for details in (FILES, {**FILES, "waves": "--with"}, {"waves": ["--with", "x"]}):
        assert Again(RUN_DIR, Path("/"), details).with_waves("a") is None


def test_an_id_that_looks_like_an_option_is_none_in_the_commands() -> None:
    again = Again(RUN_DIR, Path("/"), {**FILES, "waves": ["--with", "+w"]})
    assert again.rerun("-x") == "job-runtime rerun run --out out -- -x"
    assert again.with_waves("-x") == "job-runtime rerun run --out out --with +w -- -x"
    for command in (again.rerun("-x"), again.with_waves("-x")):
        parsed = parse(shlex.split(str(command))[1:])
        assert (parsed.run, parsed.job, parsed.out) == ("run", ["-x"], Path("out"))


def test_a_command_of_several_lines_is_one_that_a_shell_reads_as_it_is() -> None:
    several = result("a", K.EXIT_CODE, cmd="one\ntwo '\x1b\udce9\\'", cwd="/w")
    assert Again(RUN_DIR, Path("/"), FILES).command(several) == "job-runtime rerun run a --out out"
    assert Again(RUN_DIR, Path("/"), {}).command(several) == (
        "bash -c $'cd /w && /bin/sh -c \\'one\\U0000000atwo \\'\"\\'\"\\'\\U0000001b\\xe9\\\\\\'\"\\'\"\\'\\''"
    )


def test_jobs_that_left_processes_running_are_listed() -> None:
    results = [
        result(f"job{number}", usage=JobUsage(left_behind=("sleep (pid 7)", "\x1b[31m (pid 8)")))
        for number in range(MOST + 2)
    ]
    lines = summed(*results, result("clean"))
    assert lines[0].startswith("Left processes running, which were killed")
    assert lines[0].endswith("  (2 more: --all)")
    assert lines[1] == "  job0: sleep (pid 7), \\x1b[31m (pid 8)"
    assert len(lines) == MOST + 2


def flaky(name: str, kind: FailureKind = K.EXIT_CODE) -> JobResult[JobSpec]:
    passed, failed = result(name, attempt=2), result(name, kind, "exit code 1", run_dir="/out/earlier")
    return JobResult(passed.job, attrs.evolve(passed.event, earlier=(failed.event,)))


def test_flaky_jobs_are_listed_and_counted() -> None:
    assert summed(result("a"), flaky("b"), flaky("c", K.NODE_FAILURE)) == [
        "Flaky: passed after a failure (1)",
        "  b: passed on attempt 2; on attempt 1: exit code 1",
        "       log:   earlier/b/job.log",
        "3 jobs: 3 passed, 0 failed, 0 killed, 1 of them flaky, in 1:15",
    ]


def messages(count: int) -> list[JobResult[JobSpec]]:
    """Return failures with so many different messages."""
    return [result(f"job{n}", K.EXIT_CODE, f"word {'x' * n}", context=["one", "two"]) for n in range(1, count + 1)]


def test_without_a_terminal_there_is_no_height_and_what_is_left_out_is_said() -> None:
    lines = summed(*messages(MOST + 30))
    assert lines[0] == "Failures of the design (50 jobs, 50 messages)  (30 more: --all)"
    assert sum(line.startswith("   1 x ") for line in lines) == MOST
    assert sum("again: job-runtime rerun" in line for line in lines) == MOST


def everything() -> list[JobResult[JobSpec]]:
    """Return results of which each section has something, with names and messages that are long or wide."""
    wide = "語" * 90
    return [
        *messages(30),
        *(result(f"fifo.width={n % 3}.seed={n}", K.EXIT_CODE if n % 3 else None, wide) for n in range(40)),
        *(result(f"{'i' * n}", K.LICENCE, f"no {'l' * n}") for n in range(1, 150, 5)),
        *(result(f"k{n}", K.EXIT_CODE, known=f"known {wide} {n}") for n in range(9)),
        *(result(f"n{n}", K.DEPENDENCY, f"it needs {'x' * n * 9}", attempt=0) for n in range(1, 9)),
        *(flaky(f"f{n}{wide}") for n in range(9)),
        *(result(f"l{n}", usage=JobUsage(left_behind=(wide,))) for n in range(9)),
    ]


@pytest.mark.parametrize("columns", [50, 80, 200])
@pytest.mark.parametrize("rows", [24, 50, 100])
def test_it_fits_on_one_screen(columns: int, rows: int) -> None:
    names = [Changed(f"t{n}{'語' * n}") for n in range(40)]
    history = History("20260101-020000-abcdef", [Change("newly failing", names), Change("fixed", names)])
    lines = summed(*everything(), screen=(columns, rows), history=history)
    assert sum(-(-columns_of(line) // columns) for line in lines) < rows  # the last row is for the prompt
    wrapping = [line for line in lines if columns_of(line) > columns and not line.endswith(" more: --all)")]
    assert all(line.lstrip().startswith(("log:", "again:", "135 jobs")) for line in wrapping)
    if rows > 24:
        assert any(line.lstrip().startswith("again: ") for line in lines)


def test_as_a_whole_it_has_each_job() -> None:
    results = everything()
    view = View.on((50, 24), Path("/out"), whole=True)
    sections = summary_sections(results, view, Again(RUN_DIR, Path("/"), FILES), seconds=None, each_job=True)
    lines = plain(screen_lines(sections, (50, 24), whole=True))
    assert view.columns == NO_SCREEN
    assert not any("more: --all" in line for line in lines)
    first = lines.index("Each job that did not pass")
    assert len(lines) - first - 2 == sum(each.reason is not None for each in results)


def test_nothing_that_a_job_says_reaches_the_terminal_raw() -> None:
    evil = "x\x1b[2J\u202e\n\udce9[red]"
    kinds = (K.EXIT_CODE, K.LICENCE, K.DEPENDENCY, K.CANCELLED, CustomKind("network"))
    results = [
        result(f"{evil}.{evil}=1.a=2.seed={n}", kind, evil, context=[evil], lines=[1, (1, 1)], cmd=["./sim", evil])
        for n, kind in enumerate((*kinds, *kinds, None))
    ]
    known = [result(f"k{evil}", K.EXIT_CODE, evil, known=evil)]
    left = [result(f"l{evil}", usage=JobUsage(left_behind=(evil,))), flaky(evil)]
    for details in (FILES, {}, {**FILES, "waves": ["--with", evil]}):
        for screen in (None, (50, 200)):
            lines = summed(
                *results,
                *known,
                *left,
                screen=screen,
                details=details,
                history=History(evil, [Change("fixed", [Changed(evil, evil)])]),
                origins={f"k{evil}": evil},
                each_job=True,
            )
            assert all(line.isprintable() for line in lines)
