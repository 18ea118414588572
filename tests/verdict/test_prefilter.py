from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import compile_pattern
from runtime.verdict import prefilter
from runtime.verdict.combined import CombinedEngine
from runtime.verdict.engine import Hit, PythonEngine
from runtime.verdict.judge import LogJudge, LogPatterns
from runtime.verdict.lines import Block
from runtime.verdict.prefilter import PrefilterEngine
from runtime.verdict.worker import Workers
from tests.verdict.definition import CUTS, judge_blocks
from tests.verdict.strategies import BLOCKS, PATTERNS

OPENTITAN = [
    r"^UVM_ERROR\s[^:].*$",
    r"^UVM_FATAL\s[^:].*$",
    "^Assert failed: ",
    r"^\s*Offending '.*'",
    r"^Error-\[.*\]$",
    "^TEST PASSED",
]


class Recorder(PythonEngine):
    """Records which patterns it was asked to search."""

    def __init__(self, patterns: Sequence[re.Pattern[bytes]]) -> None:
        super().__init__(patterns)
        self.calls: list[tuple[list[int], list[int]]] = []

    def scan(self, block: Block, first: Collection[int], last: Collection[int]) -> Iterator[Hit]:
        self.calls.append((list(first), list(last)))
        return super().scan(block, first, last)


def searched(block: bytes, *patterns: str) -> list[int]:
    """Return the patterns that are not ruled out, by their indexes."""
    compiled = [compile_pattern(pattern) for pattern in patterns]
    recorder = Recorder(compiled)
    numbers = range(len(patterns))
    hits = list(PrefilterEngine(compiled, recorder, unfiltered=0).scan(Block.of(block), numbers, []))
    assert hits == list(PythonEngine(compiled).scan(Block.of(block), numbers, []))
    return [number for first, last in recorder.calls for number in (*first, *last)]


def test_hyperscan_is_installed() -> None:
    assert prefilter.available()


class Blind:
    """A database that never reports a match."""

    def __init__(self, mode: int) -> None: ...

    def compile(self, **_: object) -> None: ...

    def scan(self, *_: object, **__: object) -> None: ...


def test_a_build_that_misses_a_match_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prefilter._module.__wrapped__() is not None
    build = SimpleNamespace(Database=Blind, Scratch=lambda _: None, HS_MODE_BLOCK=1, HS_FLAG_MULTILINE=1)
    monkeypatch.setitem(sys.modules, "hyperscan", build)
    assert prefilter._module.__wrapped__() is None


def test_only_patterns_that_may_match_are_searched() -> None:
    assert searched(b"a\nUVM_INFO @ 3: b\nTEST PASSES", *OPENTITAN) == []
    assert searched(b"a\n  Offending 'x'\nTEST PASSED", *OPENTITAN) == [3, 5]
    assert searched(b"xUVM_ERROR @ 1: b\n", *OPENTITAN) == []
    assert searched(b"x\nUVM_ERROR @ 1: b\n", *OPENTITAN) == [0]


def test_a_match_does_not_cross_the_end_of_a_line() -> None:
    assert searched(b"a\nb", r"a\s*b", "(?s)a.b", r"a[^x]b", "b") == [3]


@pytest.mark.parametrize("block", [b"", b"a", b"a\n", b"a\n\nb", b"a\n\n"])
def test_a_pattern_that_matches_the_empty_text_is_always_searched(block: bytes) -> None:
    assert searched(block, "^$", "x*", r"^\s*$", r"\b", "zzz") == [0, 1, 2, 3]


def test_a_line_is_seen_at_either_end_of_a_block() -> None:
    for block in (b"hit", b"hit\n", b"a\nhit", b"\nhit\n", b"hit\n\n"):
        assert searched(block, "^hit$", "^hit", "hit$", r"\bhit\b", "miss") == [0, 1, 2, 3]


def test_a_pattern_without_a_translation_or_a_large_one_is_always_searched() -> None:
    assert searched(b"x", "(?=a)a", r"(b)\1", "c{301}", "(?:d{20}){20}", "(?:e{10}){10}", "f{301,}") == [0, 1, 2, 3, 5]


def test_a_pattern_that_hyperscan_refuses_is_always_searched_and_affects_no_other() -> None:
    refused = r"[^\x00-\xff]a"
    assert prefilter.expression(compile_pattern(refused)) is not None
    assert searched(b"x", "a", refused, "b") == [1]


def test_the_beginning_of_a_log_is_not_filtered() -> None:
    compiled = [compile_pattern("a"), compile_pattern("b")]
    recorder = Recorder(compiled)
    engine = PrefilterEngine(compiled, recorder, unfiltered=5)
    for _ in range(3):
        assert list(engine.scan(Block.of(b"xbx"), [0, 1], [0])) == [Hit(1, 0)]
    assert recorder.calls == [([0, 1], [0]), ([0, 1], [0]), ([1], [])]


def test_without_hyperscan_every_pattern_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    caches = (prefilter._module, prefilter._compile)
    for cache in caches:
        cache.cache_clear()
    try:
        assert not prefilter.available()
        assert searched(b"x", *OPENTITAN) == list(range(6))
    finally:
        for cache in caches:
            cache.cache_clear()


@given(st.lists(PATTERNS, min_size=1, max_size=4), BLOCKS)
def test_the_hits_are_the_same_with_it_and_without(patterns: list[str], block: bytes) -> None:
    compiled = [re.compile(pattern.encode()) for pattern in patterns]
    numbers = range(len(patterns))
    for first, last in ((numbers, ()), ((), numbers)):
        plain = list(PythonEngine(compiled).scan(Block.of(block), first, last))
        for rest in (b"", b"\n", b"\nab"):  # which was read with the block, and is no part of it
            part = Block(b"\n" + block + rest, len(block) + 1)
            filtered = PrefilterEngine(compiled, PythonEngine(compiled), unfiltered=0)
            assert list(filtered.scan(part, first, last)) == plain


LINES = st.lists(
    st.sampled_from(
        [b"UVM_ERROR @ 1: x", b"UVM_ERROR: x", b" Offending 'a'", b"TEST PASSED", b"t=5ns", b"", b"\r", b"a"]
    ),
    max_size=12,
)
ENDS = st.sampled_from([b"\n", b"\r\n"])


@given(LINES, ENDS, st.booleans(), CUTS)
def test_the_verdict_is_the_same_with_it_and_without(
    lines: list[bytes], end: bytes, ended: bool, cuts: list[int]
) -> None:
    text = end.join(lines) + (end if ended else b"")
    patterns = LogPatterns(
        ["^TEST PASSED$", "a$"],
        [r"^UVM_ERROR\s[^:].*$", r"^\s*Offending '.*'$", "^(?=x)"],
        r"t=(?P<value>\d+)(?P<unit>ns)",
    )

    def judged(engine: object) -> object:
        judge = LogJudge(patterns, engine)  # type: ignore[arg-type]  # it is one
        return judge_blocks(judge, text, cuts)

    def filtered(compiled: Sequence[re.Pattern[bytes]]) -> PrefilterEngine:
        return PrefilterEngine(compiled, CombinedEngine(compiled, workers, 60.0), unfiltered=0)

    with closing(Workers()) as workers:
        assert judged(filtered) == judged(PythonEngine)
