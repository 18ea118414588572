from __future__ import annotations

import random
import re

import pytest

from runtime.job import compile_pattern
from runtime.verdict import linear
from runtime.verdict.engine import Hit, PythonEngine
from runtime.verdict.linear import LinearEngine
from runtime.verdict.lines import Block


def engine(*patterns: str) -> LinearEngine:
    return LinearEngine([compile_pattern(pattern) for pattern in patterns])


def test_the_first_hit_or_the_last_one_is_found_as_asked() -> None:
    block = b"a 1\nb\na 2\na 3"
    assert list(engine("a", "^b", "zzz").scan(Block.of(block), [0, 1, 2], [])) == [Hit(1, 1), Hit(0, 0)]
    assert list(engine("a", "^b", "zzz").scan(Block.of(block), [], [0, 1, 2])) == [Hit(0, 3), Hit(1, 1)]
    assert list(engine("a").scan(Block.of(block), [], [])) == []


def test_groups_that_report_a_time_are_returned() -> None:
    found = engine(r"t=(?P<value>\d+)(?P<unit>ns)?(?P<other>.*)").scan(Block.of(b"t=1ns\nt=2"), [], [0])
    assert list(found) == [Hit(0, 1, b"2", None)]


def test_a_pattern_sees_one_line_at_a_time() -> None:
    found = engine(r"a\s*b", "^b$", r"\Ab\Z", "(?s)a.b", "a[^x]b", r"^a\W").scan(Block.of(b"a\nb"), range(6), [])
    assert list(found) == [Hit(1, 1), Hit(2, 1)]


def test_a_pattern_that_matches_the_empty_text_terminates() -> None:
    assert set(engine("", "^$", "x*").scan(Block.of(b"a\n\n"), [0, 1, 2], [0, 1])) == {
        *(Hit(0, 0), Hit(1, 1), Hit(2, 0)),
        *(Hit(0, 2), Hit(1, 2)),
    }


def test_the_last_hit_is_found_however_far_it_is_from_the_end() -> None:
    rng = random.Random(7)
    patterns = [re.compile(b"^hit"), re.compile(b"hit$"), re.compile(b"^$")]
    for _ in range(40):
        lines = [b"x" * rng.randrange(1, 100) for _ in range(2000)]
        for index in rng.sample(range(2000), 3):
            lines[index] = rng.choice([b"hit", b"", b"hit hit"])
        block = b"\n".join(lines)
        expected = list(PythonEngine(patterns).scan(Block.of(block), [], [0, 1, 2]))
        assert list(LinearEngine(patterns).scan(Block.of(block), [], [0, 1, 2])) == expected


def test_patterns_that_are_too_large_for_a_union_are_searched_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_one = linear._compile

    def refuse_unions(text: str) -> object:
        return None if ")|(?:" in text else compile_one(text)

    monkeypatch.setattr(linear, "_compile", refuse_unions)
    linear._union.cache_clear()
    assert list(engine("one", "two").scan(Block.of(b"one\ntwo"), [0, 1], [])) == [Hit(0, 0), Hit(1, 1)]
    linear._union.cache_clear()


def test_a_pattern_that_re2_refuses_is_not_linear() -> None:
    assert linear.available()
    assert linear.is_linear(compile_pattern("(?:a{30}){30}"))
    assert not linear.is_linear(compile_pattern("(?:a{100}){100}"))


@pytest.mark.parametrize("lacking", ["re2", "memory to load it", "memory for a pattern"])
def test_without_re2_nothing_is_linear(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    caches = (linear._module, linear._compile, linear._union)
    for cache in caches:
        cache.cache_clear()
    if lacking == "re2":
        monkeypatch.setitem(__import__("sys").modules, "re2", None)
    elif lacking == "memory for a pattern":
        assert linear.available()
    if lacking != "re2":
        monkeypatch.setattr(linear, "_MIN_FREE_MEMORY", 1 << 60)
    try:
        assert linear.available() is (lacking == "memory for a pattern")
        assert not linear.is_linear(compile_pattern("a"))
    finally:
        for cache in caches:
            cache.cache_clear()


def test_a_pattern_that_was_forgotten_cannot_be_compiled_again_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = engine("one", "two")
    assert list(found.scan(Block.of(b"two"), [0, 1], [])) == [Hit(1, 0)]
    caches = (linear._compile, linear._union)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(linear, "_MIN_FREE_MEMORY", 1 << 60)
    try:
        for first, last in (([0, 1], []), ([], [1])):
            with pytest.raises(MemoryError):
                list(found.scan(Block.of(b"two"), first, last))
    finally:
        for cache in caches:
            cache.cache_clear()
