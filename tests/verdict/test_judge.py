from __future__ import annotations

import tracemalloc

import attrs
import pytest

from runtime.errors import SpecError
from runtime.job import JobSpec
from runtime.verdict import FailingLine, Judgement, lines
from runtime.verdict import judge as module
from runtime.verdict.judge import LogJudge, LogPatterns
from runtime.verdict.lines import read_blocks
from runtime.verdict.log import LineNumbers, LogText
from tests.verdict.definition import judge_blocks

TIME = r"^t (?P<value>\d+) (?P<unit>[a-z]+)"


def judged(log: bytes, patterns: LogPatterns, *cuts: int) -> Judgement:
    return judge_blocks(LogJudge(patterns), log, cuts)


def test_a_match_across_the_edge_of_two_chunks_is_seen() -> None:
    patterns = LogPatterns(["^TEST PASSED$"])
    log = b"TEST PASSED\n"
    for cut in range(len(log)):
        assert judged(log, patterns, cut).missing == ()


def test_a_last_line_without_its_end_counts() -> None:
    found = judged(b"a\nTEST PASSED", LogPatterns(["^TEST PASSED"], ["^a"]))
    assert found == Judgement(FailingLine("^a", 1, "a", (), ("TEST PASSED",)), (), ("a", "TEST PASSED"), 2)


def test_an_empty_log_has_no_line_that_could_match() -> None:
    assert judged(b"", LogPatterns([""], [""])) == Judgement(None, ("",), (), 0)


def test_a_pattern_that_matches_the_empty_text_terminates() -> None:
    assert judged(b"a\nb\n", LogPatterns(["", "^$|a*"], ["x*"])) == Judgement(
        FailingLine("x*", 1, "a", (), ("b",)), (), ("a", "b"), 2
    )


def test_a_failure_comes_with_the_four_lines_before_it_and_the_four_after_it() -> None:
    log = b"".join(b"%d\n" % number for number in range(1, 30))
    for cut in range(len(log)):
        failure = judged(log, LogPatterns((), ["^7$", "^6$", "6"]), cut).failure
        assert failure == FailingLine("^6$", 6, "6", ("2", "3", "4", "5"), ("7", "8", "9", "10"))


def test_the_end_is_the_last_ten_lines() -> None:
    log = b"".join(b"%d\n" % number for number in range(1, 30))
    found = judged(log, LogPatterns(), *range(0, len(log), 7))
    assert found.tail == tuple(str(number) for number in range(20, 30))
    assert found.lines == 29


def test_of_several_times_the_last_one_counts() -> None:
    patterns = LogPatterns(runtime=TIME, simulated_time=r"(?P<value>\d+)(?P<unit>ps)")
    found = judged(b"t 1 s\nt 2 ms\n5ps\nother\n", patterns)
    assert (found.job_runtime, found.simulated_time) == (0.002, 5e-12)
    assert judged(b"t 1 s\nt 2 days\n", patterns).job_runtime is None
    assert judged(b"", patterns).job_runtime is None


def test_bytes_that_are_no_text_are_shown_as_numbers() -> None:
    assert judged(b"caf\xc3\xa9 \xff\n", LogPatterns()).tail == ("café \\xff",)


def test_a_line_that_is_too_long_is_judged_in_pieces_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 10)
    monkeypatch.setattr(module, "MAX_SHOWN", 4)
    found = judged(b"first\n" + b"0123456789" * 3 + b"ABC\nlast\n", LogPatterns(["^0", "ABC$", "90"], ["ABC"]))
    assert found.failure == FailingLine("ABC", 2, "ABC", ("firs…",), ("last",))
    assert found.missing == ("90",)  # on the edge of two pieces
    assert found.lines == 3
    assert found.tail == ("firs…", "0123…", "last")


@attrs.frozen
class Repeated(LogText):
    """A log that repeats a text."""

    times: int

    @property
    def size(self) -> int:
        return self.times * len(self.text)

    def read(self, start: int, size: int) -> bytes:
        end = min(start + size, self.size)
        offsets = range(start - start % len(self.text), end, len(self.text))
        return b"".join(self.text[max(0, start - offset) : end - offset] for offset in offsets)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        (bytes(1 << 20), 16),
        (b"x" * (1 << 20), 16),
        (b"xy\n" * 90_000, 1),
        (b"xy\n" * 80_000 + b"ERROR\n", 1),
        (b"xy\r" * 90_000, 4),
        (b"\r" * (1 << 20), 16),
    ],
    ids=["nul", "long", "short", "fails", "progress", "cr"],
)
def test_memory_is_bounded_whatever_the_log(text: bytes, times: int) -> None:
    log = Repeated(text, times)
    judge = LogJudge(LogPatterns(["PASSED"], ["ERROR"]))
    tracemalloc.start()
    try:
        for block in read_blocks(log):
            judge.take(block)
        judge.finish(LineNumbers(log))
        assert tracemalloc.get_traced_memory()[1] < 12 * lines.MAX_LINE
    finally:
        tracemalloc.stop()


def test_an_inline_flag_in_one_pattern_concerns_no_other() -> None:
    found = judged(b"Error\nWARNING\n", LogPatterns(["(?i)ERROR", "(?x) W A R"], ["error", "warning"]))
    assert found.failure is None
    assert found.missing == ()


def test_an_invalid_pattern_is_an_error_with_its_position() -> None:
    with pytest.raises(SpecError, match="position 1"):
        LogJudge(LogPatterns(["a(b"]))


def test_patterns_come_from_a_specification() -> None:
    spec = JobSpec(name="a", cmd="a", pass_patterns=["p"], fail_patterns=["f"], runtime_pattern=TIME)
    assert LogPatterns.of(spec) == LogPatterns(("p",), ("f",), TIME, None)
    assert LogPatterns.of(spec)
    assert LogPatterns.of(JobSpec(name="a", cmd="a", raw_lines=True)).raw_lines
    assert not LogPatterns.of(JobSpec(name="a", cmd="a"))
