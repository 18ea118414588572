"""The line that explains a failure is found wherever it is in the log, and a log that passes is not searched for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import FailureKind, JobSpec, JobStatusInfo, compile_pattern
from runtime.process import UNKNOWN, Exit
from runtime.verdict import Verdicts, verdict, verdicts
from runtime.verdict.combined import is_fast
from runtime.verdict.engine import Hit, PythonEngine
from runtime.verdict.explaining import COMPLAINTS, ERRORS, HINTS, MAX_SEARCHED, is_complaint, is_of_end_report
from runtime.verdict.explaining_judge import ExplainingJudge, explaining_index
from runtime.verdict.file import judge_log
from runtime.verdict.ignoring import MAX_IGNORED, IgnoringEngine
from runtime.verdict.judge import LogPatterns
from runtime.verdict.lines import Block
from tests.verdict.definition import CUTS, judge_blocks

ERROR = "UVM_ERROR tb.sv(5) @ 7: env [SB] word lost"
NOISE = [f"UVM_INFO tb.sv(1) @ {at}: env [SB] word {at} compared, 0 errors" for at in range(30)]
END = ["UVM_ERROR :    1", "Simulation finished with 1 error", "make: *** [Makefile:3: sim] Error 2"]
PLAIN = JobSpec(name="plain", cmd="true")
PASSING = JobSpec(name="passing", cmd="true", pass_patterns=["^PASSED"])


@pytest.fixture
def found() -> Iterator[Verdicts]:
    with closing(Verdicts()) as made:
        yield made


def write(directory: Path, *lines: str) -> str:
    (directory / "log").write_text("".join(f"{line}\n" for line in lines))
    return str(directory / "log")


def reason(job: JobSpec, log: str, how: Exit = Exit(code=1)) -> JobStatusInfo:  # noqa: B008 - it is frozen
    found = verdict(job, how, log).reason
    assert found is not None
    return found


@pytest.mark.parametrize("how", [Exit(code=1), Exit(signal=6)], ids=repr)
def test_the_first_line_that_explains_is_in_the_context_with_its_number_before_the_last_ones(
    tmp_path: Path, how: Exit
) -> None:
    log = write(tmp_path, *NOISE[:20], ERROR, *NOISE[20:], ERROR.replace("7", "9"), *END)
    why = reason(PLAIN, log, how)
    assert why.lines == [21, (17, 35)]
    assert why.context is not None
    assert why.context[4] == ERROR
    assert why.context[-1] == END[-1]
    assert reason(PASSING, log, Exit(code=0)).lines == why.lines


def test_a_hint_explains_if_there_is_no_error_message_before_or_after(tmp_path: Path) -> None:
    hint = "at 7: data mismatch in word 3"
    assert reason(PLAIN, write(tmp_path, *NOISE[:20], hint, *NOISE, *END)).lines == [21, (17, 25), (45, 54)]
    assert reason(PLAIN, write(tmp_path, hint, *NOISE, ERROR)).lines == [32, (23, 32)]


def test_nothing_explains_where_only_complaints_are(tmp_path: Path) -> None:
    assert reason(PLAIN, write(tmp_path, *NOISE, *END)) == JobStatusInfo(
        "exit code 1", None, (*NOISE[-7:], *END), FailureKind.EXIT_CODE
    )


def test_a_fail_pattern_that_finds_a_cause_is_not_overruled_and_one_that_finds_a_complaint_is(tmp_path: Path) -> None:
    log = write(tmp_path, ERROR, *NOISE[:9], "mark 12", "TEST FAILED", *END)
    own = JobSpec(name="own", cmd="true", fail_patterns=["^mark"])
    assert reason(own, log).lines == [11, (6, 15)]
    late = JobSpec(name="late", cmd="true", fail_patterns=["FAILED"])
    why = reason(late, log, Exit(code=0))
    assert why.message == "a fail pattern matched: TEST FAILED"
    assert why.lines == [1, 12, (1, 5), (8, 15)]
    assert why.context is not None
    assert why.context[0] == ERROR


def test_a_kind_that_the_log_shows_comes_first(tmp_path: Path) -> None:
    job = JobSpec(name="kinds", cmd="true", kinds={"network": ["unreachable"]})
    why = reason(job, write(tmp_path, ERROR, *NOISE, "host unreachable"))
    assert (why.kind, why.lines) == ("network", [32, (28, 32)])
    assert reason(job, write(tmp_path, *NOISE[:20], ERROR, *NOISE, *END)).lines == [21, (17, 25), (45, 54)]


@pytest.mark.parametrize("kinds", [None, {"network": ["unreachable"]}])
@pytest.mark.parametrize("how", [Exit(code=1), Exit(signal=6), UNKNOWN], ids=repr)
def test_each_way_finds_the_same(tmp_path: Path, found: Verdicts, how: Exit, kinds: Any) -> None:
    lines = [*NOISE, ERROR, *NOISE, *END]
    log = write(tmp_path, *lines)
    job = JobSpec(name="job", cmd="true", fail_patterns=["^nothing"], kinds=kinds)
    expected = verdict(job, how, log)
    assert found.of(job, how, log) == found.attempt(job, how, log) == found.soon(job, how, log) == expected
    at_once = found.at_once(job, how, Path(log).read_bytes())
    assert at_once in (None, expected)
    assert (at_once is None) == (kinds is not None and how is not UNKNOWN)


def test_a_log_that_passes_is_read_once_and_not_searched_for_explanations(
    tmp_path: Path, found: Verdicts, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def counted(log: Any, patterns: LogPatterns, *args: Any, **options: Any) -> Any:
        searched.append(patterns.explaining)
        return judge_log(log, patterns, *args, **options)

    monkeypatch.setattr(verdicts, "judge_log", counted)
    log = write(tmp_path, ERROR, "PASSED")
    assert found.of(PASSING, Exit(code=0), log).passed
    assert searched == [False]
    assert not found.of(PASSING, Exit(code=1), log).passed
    assert searched == [False, False, True]


def test_the_patterns_are_fast_with_any_engine() -> None:
    assert [text for text in (*ERRORS, *HINTS) if not is_fast(text, 250)] == []
    assert [text for text in COMPLAINTS if not is_fast(text, 1)] == []


@pytest.mark.parametrize(
    "line",
    [
        *END,
        "make[1]: *** [Makefile:9: all] Error 139",
        "%Error: Exiting due to 2 error(s)",
        "%Error: ../tb.sv:3: Verilog $stop",
        "Aborting...",
        "xrun: *E,VLGERR: An error occurred during parsing.",
        "# Error loading design",
        "TEST FAILED",
        "*** TEST FAILED ***",
        "Simulation failed, see sim.log",
        "  20.00ns INFO     cocotb.regression     test_fifo.smoke failed",
        "collect2: error: ld returned 1 exit status",
        "compilation terminated.",
        "# Errors: 3, Warnings: 1",
        "2 errors generated.",
        "ERROR: 3",
        "Errors: 2: see above",
        "=========== FAILURES ===========",
        "subprocess.CalledProcessError: Command 'sim' returned non-zero exit status 1.",
        "ERROR: ld.so: object 'libx.so' from LD_PRELOAD cannot be preloaded: ignored.",
    ],
)
def test_a_complaint_explains_nothing(line: str) -> None:
    assert is_complaint(line)
    assert explaining_index([line]) is None
    assert explaining_index([line, ERROR]) == 1


@pytest.mark.parametrize(
    "line",
    [
        "TEST FAILED: data mismatch at 5",
        "Assertion tb.a_full has failed",
        ERROR,
        "make: x",
        "[XCHECK] ERROR: 28081 ps: tb.dut.state has unknown value",
        "ERROR: 1.5 ns: lost",
        "ERROR: 17: lost",
        "ERROR: 0x40 is no address",
    ],
)
def test_what_says_more_is_no_complaint(line: str) -> None:
    assert not is_complaint(line)


@pytest.mark.parametrize(
    "line",
    [
        "-- Performing Test HAVE_ERROR_LIMIT - Failed",
        "-- Looking for strerror_r - not found",
        "-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)",
        "-- Configuring incomplete, errors occurred!",
    ],
)
def test_what_cmake_tries_explains_nothing(line: str) -> None:
    assert explaining_index([line]) is None
    assert explaining_index([line, "CMake Error at CMakeLists.txt:22 (find_package):"]) == 1


@pytest.mark.parametrize(
    "line",
    [
        "           V C S   S i m u l a t i o n   R e p o r t ",
        "Time: 38081 ps",
        "CPU Time:      89.7510 seconds;       Data structure size:  12.5Mb",
        "Sun Nov  1 23:33:11 2026",
        "# End time: 18:50:49 on Nov 21,2026, Elapsed time: 0:03:49",
        "# Errors: 1, Warnings: 0",
        "- S i m u l a t i o n   R e p o r t: Verilator 5.020 2024-01-01",
        "- Verilator: $finish at 10ns; walltime 0.002 s; speed 4.3 us/s",
        "TOOL:\txrun\t23.09-s004: Exiting on Nov 17, 2026 at 10:33:11 CET",
    ],
)
def test_an_end_report_explains_nothing(line: str) -> None:
    assert is_of_end_report(line)
    assert explaining_index([line]) is None


@pytest.mark.parametrize("line", ["a" * 10_000, "test." * 3000, "make: *** " * 900, "Error " * 2000, "\0" * 9, ""])
def test_a_hostile_line_is_looked_at_up_to_a_limit(line: str) -> None:
    assert is_complaint(line) == is_complaint(line[:MAX_SEARCHED])
    assert explaining_index([line, "", "\udcff"]) in (None, 0)


LINES = st.sampled_from([ERROR, "TEST FAILED", "data mismatch", "x", "", END[-1], "UVM_INFO mismatch"])


@given(st.lists(LINES, max_size=30), CUTS)
def test_the_explanation_does_not_depend_on_how_a_log_is_cut(lines: list[str], cuts: list[int]) -> None:
    text = "\n".join(lines).encode()
    judge = ExplainingJudge(LogPatterns(explaining=True), PythonEngine)
    explanation = judge_blocks(judge, text, cuts).explanation
    index = explaining_index(lines)
    assert (None if explanation is None else explanation.line - 1) == index
    assert explanation is None or explanation.text == lines[index or 0]


def test_after_so_many_lines_that_count_for_nothing_a_pattern_is_given_up() -> None:
    def scan(ignored: int) -> list[Hit]:
        engine = IgnoringEngine(PythonEngine([compile_pattern("a"), compile_pattern("b")]), compile_pattern("^no"))
        first = list(engine.scan(Block.of(b"no a\n" * ignored + b"b"), [0, 1], []))
        return first + list(engine.scan(Block.of(b"x\na"), [0], []))

    assert scan(MAX_IGNORED - 1) == [Hit(1, MAX_IGNORED - 1), Hit(0, 1)]
    assert scan(MAX_IGNORED) == [Hit(1, MAX_IGNORED)]
    last = IgnoringEngine(PythonEngine([compile_pattern("a")]), compile_pattern("a"))
    assert list(last.scan(Block.of(b"a\na"), [], [0])) == [Hit(0, 1)]
    assert list(last.scan(Block.of(b"a\na"), [0], [])) == []


def test_closing_closes_the_engines() -> None:
    closed = []

    class Engine(PythonEngine):
        def close(self) -> None:
            closed.append(1)

    ExplainingJudge(LogPatterns(explaining=True), partial(Engine)).close()
    assert len(closed) == 3
