from __future__ import annotations

import itertools
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import SpecError
from runtime.job import JobSpec
from runtime.logs import Failure, Judgement, LogJudge, LogPatterns
from runtime.logs import judge as module
from runtime.logs.times import seconds

TIME = r"^t (?P<value>\d+) (?P<unit>[a-z]+)"


def judged(log: bytes, patterns: LogPatterns, *cuts: int) -> Judgement:
    judge = LogJudge(patterns)
    edges = [0, *sorted(cut % (len(log) + 1) for cut in cuts), len(log)]
    for start, end in itertools.pairwise(edges):
        judge.feed(log[start:end])
    return judge.finish()


def line_by_line(log: bytes, patterns: LogPatterns) -> Judgement:
    """What the rules say, said as simply as can be."""
    lines = log.split(b"\n")
    if not lines[-1]:
        lines.pop()
    lines = [line.removesuffix(b"\r") for line in lines]
    shown = [line.decode("utf-8", "backslashreplace") for line in lines]
    failures = [
        Failure(pattern, number, shown[number - 1], tuple(shown[:number][-5:-1]), tuple(shown[number : number + 4]))
        for number, line in enumerate(lines, 1)
        for pattern in patterns.failing
        if re.search(pattern.encode(), line)
    ]
    missing = [p for p in patterns.passing if not any(re.search(p.encode(), line) for line in lines)]
    times = [match for line in lines if patterns.runtime and (match := re.search(patterns.runtime.encode(), line))]
    return Judgement(
        failures[0] if failures else None,
        tuple(missing),
        tuple(shown[-10:]),
        len(lines),
        seconds(times[-1]["value"], times[-1]["unit"]) if times else None,
    )


PIECES = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"ERROR", b"error", b"PASS", b"t 12 ns", b"t 5 x", b" ", b"x", b"\xff\0", b"\xc3\xa4"]
)


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_chunking_gives_what_line_by_line_gives(log: bytes, cuts: list[int]) -> None:
    patterns = LogPatterns(["^PASS", "x$"], ["ERROR", "(?i)^error", "ER{2}OR"], TIME)
    assert judged(log, patterns, *cuts) == line_by_line(log, patterns)


@given(st.lists(st.sampled_from([b"\n", b"ab", b"cdefg", b"\r\n"]), max_size=30).map(b"".join), st.integers(1, 60))
def test_any_chunking_gives_the_same_for_lines_that_are_too_long(log: bytes, size: int) -> None:
    patterns = LogPatterns(["gab", "^$"], ["bb", "cd"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_LINE", 8)
        assert judged(log, patterns, *range(0, len(log), size)) == judged(log, patterns)


def test_a_match_across_the_edge_of_two_chunks_is_seen() -> None:
    patterns = LogPatterns(["^TEST PASSED$"])
    log = b"TEST PASSED\n"
    for cut in range(len(log)):
        assert judged(log, patterns, cut).missing == ()


def test_a_carriage_return_before_the_end_of_a_line_is_no_part_of_it() -> None:
    assert judged(b"TEST PASSED\r\n", LogPatterns(["PASSED$"])).missing == ()
    assert judged(b"TEST PASSED\r", LogPatterns(["PASSED$"])).missing == ()
    assert judged(b"TEST PASSED\r\r\n", LogPatterns(["PASSED$"])).missing == ("PASSED$",)


def test_one_carriage_return_is_stripped_and_only_at_the_end_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 8)
    patterns = LogPatterns(["^a$", "^a\r$", "^1234567$", "^1234567\r$"])
    assert judged(b"a\r\r\nlonger than a line may be\n1234567\r8\n", patterns).missing == ("^a$", "^1234567$")
    assert judged(b"a\r\nlonger than a line may be\n1234567\r\n", patterns).missing == ("^a\r$", "^1234567\r$")


def test_a_last_line_without_its_end_counts() -> None:
    found = judged(b"a\nTEST PASSED", LogPatterns(["^TEST PASSED"], ["^a"]))
    assert found == Judgement(Failure("^a", 1, "a", (), ("TEST PASSED",)), (), ("a", "TEST PASSED"), 2)


def test_an_empty_log_has_no_line_that_could_match() -> None:
    assert judged(b"", LogPatterns([""], [""])) == Judgement(None, ("",), (), 0)


def test_a_pattern_that_matches_the_empty_text_terminates() -> None:
    assert judged(b"a\nb\n", LogPatterns(["", "^$|a*"], ["x*"])) == Judgement(
        Failure("x*", 1, "a", (), ("b",)), (), ("a", "b"), 2
    )


def test_a_failure_comes_with_the_four_lines_before_it_and_the_four_after_it() -> None:
    log = b"".join(b"%d\n" % number for number in range(1, 30))
    for cut in range(len(log)):
        failure = judged(log, LogPatterns((), ["^7$", "^6$", "6"]), cut).failure
        assert failure == Failure("^6$", 6, "6", ("2", "3", "4", "5"), ("7", "8", "9", "10"))


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
    monkeypatch.setattr(module, "MAX_LINE", 10)
    monkeypatch.setattr(module, "MAX_SHOWN", 4)
    found = judged(b"first\n" + b"0123456789" * 3 + b"ABC\nlast\n", LogPatterns(["^0", "ABC$", "90"], ["ABC"]))
    assert found.failure == Failure("ABC", 2, "ABC", ("firs…",), ("last",))
    assert found.missing == ("90",)  # on the edge of two pieces
    assert found.lines == 3
    assert found.tail == ("firs…", "0123…", "last")


@pytest.mark.parametrize(
    ("text", "times"),
    [(bytes(1 << 20), 16), (b"x" * (1 << 20), 16), (b"xy\n" * 90_000, 1), (b"xy\n" * 80_000 + b"ERROR\n", 1)],
    ids=["nul", "long", "short", "fails"],
)
def test_memory_is_bounded_whatever_the_log(text: bytes, times: int) -> None:
    judge = LogJudge(LogPatterns(["PASSED"], ["ERROR"]))
    tracemalloc.start()
    try:
        for _ in range(times):
            judge.feed(text)
        judge.finish()
        assert tracemalloc.get_traced_memory()[1] < 8 * module.MAX_LINE
    finally:
        tracemalloc.stop()


def test_an_inline_flag_in_one_pattern_concerns_no_other() -> None:
    found = judged(b"Error\nWARNING\n", LogPatterns(["(?i)ERROR", "(?x) W A R"], ["error", "warning"]))
    assert found.failure is None
    assert found.missing == ()


def test_a_pattern_that_is_none_is_an_error_with_its_position() -> None:
    with pytest.raises(SpecError, match="position 1"):
        LogJudge(LogPatterns(["a(b"]))


def test_patterns_come_from_a_specification() -> None:
    spec = JobSpec(name="a", cmd="a", pass_patterns=["p"], fail_patterns=["f"], runtime_pattern=TIME)
    assert LogPatterns.of(spec) == LogPatterns(("p",), ("f",), TIME, None)
    assert LogPatterns.of(spec)
    assert not LogPatterns.of(JobSpec(name="a", cmd="a"))
