"""The lines around a failure are the same ones, whichever engine finds it and however the log is cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runtime.errors import SpecError
from runtime.job import compile_pattern
from runtime.verdict import FailingLine, linear, prefilter
from runtime.verdict import judge as module
from runtime.verdict import lines as lines_module
from runtime.verdict.combined import CombinedEngine
from runtime.verdict.engine import Engine, PythonEngine
from runtime.verdict.judge import LogJudge, LogPatterns
from runtime.verdict.prefilter import PrefilterEngine
from runtime.verdict.worker import WorkerEngine, Workers
from tests.verdict.definition import judge_blocks
from tests.verdict.strategies import PATTERNS

MAX_LINE = 12
MAX_SHOWN = 5

Maker = Callable[[Sequence[re.Pattern[bytes]]], Engine]

LINES = st.lists(
    st.sampled_from(
        [
            *(b"", b"a", b"b", b"AB", b"ab\xe9", b" a 1", b"b" * 11 + b"a", b"a" * 30, b"x" * 24 + b"b"),
            *(b"\r", b"b\r\ra", b"\rab", b"a" * 30 + b"\r" + b"b" * 12),
        ]
    ),
    max_size=12,
)
ENDS = st.sampled_from([b"\n", b"\r\n"])
CUTS = st.lists(st.integers(0, 1000), max_size=8)


@pytest.fixture(autouse=True)
def short_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE", MAX_LINE)
    monkeypatch.setattr(module, "MAX_SHOWN", MAX_SHOWN)


@pytest.fixture
def makers() -> Iterator[dict[str, Maker]]:
    """What makes each kind of engine, by its name."""
    with closing(Workers()) as workers:
        yield {
            "re": PythonEngine,
            "RE2 or a worker": lambda compiled: CombinedEngine(compiled, workers, 60.0),
            "a worker": lambda compiled: WorkerEngine(compiled, workers, 60.0),
            "Hyperscan before them": lambda compiled: PrefilterEngine(
                compiled, CombinedEngine(compiled, workers, 60.0), unfiltered=0
            ),
        }


def failure(log: bytes, patterns: LogPatterns, maker: Maker, cuts: Sequence[int]) -> FailingLine | None:
    with closing(LogJudge(patterns, maker)) as judge:
        return judge_blocks(judge, log, cuts).failure


def shown(text: bytes) -> str:
    return text[:MAX_SHOWN].decode("utf-8", "backslashreplace") + ("…" if len(text) > MAX_SHOWN else "")


def line_by_line(log: bytes, failing: Sequence[str]) -> FailingLine | None:
    """Return the failure as the rules define it, as simply as possible."""
    lines = log.split(b"\n")
    if not lines[-1]:
        lines.pop()
    numbered = [re.split(rb"\r+", line.rstrip(b"\r")) for line in lines]
    heads = [shown([b"", *filter(None, parts)][-1]) for parts in numbered]
    for index, parts in enumerate(numbered):
        for piece in (part[at : at + MAX_LINE] for part in parts for at in range(0, len(part) or 1, MAX_LINE)):
            for pattern in failing:
                if compile_pattern(pattern).search(piece):
                    after = tuple(heads[index + 1 : index + 5])
                    return FailingLine(pattern, index + 1, shown(piece), tuple(heads[max(0, index - 4) : index]), after)
    return None


def test_all_engines_are_installed() -> None:
    assert linear.available()
    assert prefilter.available()


def test_all_engines_give_the_same_lines(makers: dict[str, Maker]) -> None:
    found: list[bool] = []

    @settings(max_examples=300)
    @given(st.lists(PATTERNS, max_size=2), LINES, LINES, ENDS, st.booleans(), CUTS)
    def check(
        others: list[str], before: list[bytes], after: list[bytes], end: bytes, ended: bool, cuts: list[int]
    ) -> None:
        log = end.join([*before, b"xxxxFAILxxxx", *after]) + (end if ended else b"")
        failing = ["FAIL", *others]
        try:
            expected = line_by_line(log, failing)
        except SpecError:
            assume(False)
        assert expected is not None
        for name, maker in makers.items():
            assert failure(log, LogPatterns((), failing), maker, cuts) == expected, name
        found.append(len(expected.before) == 4 and len(expected.after) == 4)

    check()
    assert sum(found) > 10


def test_the_first_line_has_none_before_it(makers: dict[str, Maker]) -> None:
    for maker in makers.values():
        assert failure(b"ab\nc\n", LogPatterns((), ["^a"]), maker, [1]) == FailingLine("^a", 1, "ab", (), ("c",))
        assert failure(b"ab", LogPatterns((), ["^a"]), maker, []) == FailingLine("^a", 1, "ab")


def test_lines_before_it_may_be_in_earlier_blocks(makers: dict[str, Maker]) -> None:
    log = b"".join(b"%d\r\n" % number for number in range(1, 8)) + b"ab\r\n"
    expected = FailingLine("b$", 8, "ab", ("4", "5", "6", "7"))
    for maker in makers.values():
        for cuts in ([], range(len(log)), [20, 22], [18]):
            assert failure(log, LogPatterns((), ["b$"]), maker, cuts) == expected


def test_of_a_line_in_pieces_the_one_that_matches_is_shown_and_no_other_is_before_it(makers: dict[str, Maker]) -> None:
    log = b"1\n2\n" + b"x" * 2 * MAX_LINE + b"ab\n" + b"y" * 2 * MAX_LINE
    for maker in makers.values():
        for cuts in ([0], range(len(log))):
            found = failure(log, LogPatterns((), ["ab"]), maker, cuts)
            assert found == FailingLine("ab", 3, "ab", ("1", "2"), ("yyyyy…",))
