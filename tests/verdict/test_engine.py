from __future__ import annotations

from runtime.job import compile_pattern
from runtime.verdict.engine import Hit, PythonEngine
from runtime.verdict.lines import Block


def engine(*patterns: str) -> PythonEngine:
    return PythonEngine([compile_pattern(pattern) for pattern in patterns])


def test_the_first_hit_or_the_last_one_is_found_as_asked() -> None:
    block = b"a 1\nb\na 2\na 3"
    assert list(engine("a", "b", "zzz").scan(Block.of(block), [0, 1, 2], [])) == [Hit(0, 0), Hit(1, 1)]
    assert list(engine("a", "b", "zzz").scan(Block.of(block), [], [0, 2])) == [Hit(0, 3)]
    assert list(engine("a").scan(Block.of(block), [], [])) == []


def test_groups_that_report_a_time_are_returned() -> None:
    found = engine(r"t=(?P<value>\d+)(?P<unit>ns)?").scan(Block.of(b"t=1ns\nt=2"), [], [0])
    assert list(found) == [Hit(0, 1, b"2", None)]


def test_a_pattern_sees_one_line_at_a_time() -> None:
    block = Block.of(b"a\nb")
    assert list(engine(r"a\s*b", "^b$", r"\Ab\Z", "(?s)a.b").scan(block, range(4), [])) == [Hit(1, 1), Hit(2, 1)]


def test_a_pattern_that_matches_nothing_much_terminates() -> None:
    hits = [Hit(0, 0), Hit(1, 1), Hit(2, 0), Hit(0, 2)]
    assert list(engine("", "^$", "x*").scan(Block.of(b"a\n\n"), [0, 1, 2], [0])) == hits
