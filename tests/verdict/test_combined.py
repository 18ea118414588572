from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from runtime.job import compile_pattern
from runtime.verdict import combined, linear
from runtime.verdict.combined import CombinedEngine, is_quick
from runtime.verdict.engine import Hit
from runtime.verdict.judge import LogPatterns
from runtime.verdict.lines import Block
from runtime.verdict.worker import Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    with closing(Workers()) as pool:
        yield pool


def scan(workers: Workers, block: bytes, *patterns: str) -> tuple[set[Hit], bool]:
    """Return the hits, and whether a worker was used."""
    compiled = [compile_pattern(pattern) for pattern in patterns]
    with closing(CombinedEngine(compiled, workers, 60.0)) as engine:
        numbers = range(len(patterns))
        found = set(engine.scan(Block.of(block), numbers, numbers))
        return found, engine._worker._worker is not None


@pytest.fixture
def no_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combined, "is_linear", lambda pattern: False)


def test_patterns_that_re2_supports_need_no_worker(workers: Workers) -> None:
    assert linear.available()
    assert scan(workers, b"a" * 100_000 + b"b", "(a+)+$", "^b") == (set(), False)
    assert is_quick(LogPatterns(["(a+)+$"], ["^b"]))


def test_other_patterns_are_searched_in_this_process_if_they_are_harmless(workers: Workers) -> None:
    hits = {Hit(0, 1), Hit(1, 0)}
    assert scan(workers, b"aa\nab", "(?<=a)b", "(?=a)a(?!b)") == (hits, False)
    assert is_quick(LogPatterns(["(?<=a)b"]))


def test_harmful_patterns_and_long_logs_go_to_a_worker(workers: Workers) -> None:
    assert scan(workers, b"aab", r"(?=a)(a+)+b", "b") == ({Hit(0, 0), Hit(1, 0)}, True)
    assert scan(workers, b"a" * 2000 + b"b", "(?=a)a*b")[1]
    assert scan(workers, b"a\n" * combined.IN_PROCESS, "(?=b)")[1]
    assert not is_quick(LogPatterns(["(?=a)(a+)+b"]))


@pytest.mark.usefixtures("no_re2")
def test_without_re2_a_short_log_is_searched_in_this_process(workers: Workers) -> None:
    usual = [r"^UVM_ERROR\s[^:].*$", r"^\s*Offending '.*'", r"^Error-\[.*\]$", "^TEST PASSED"]
    assert scan(workers, b"x\nTEST PASSED\n", *usual) == ({Hit(3, 1)}, False)
    assert is_quick(LogPatterns(usual, usual, usual[0], usual[1]))
    assert not is_quick(LogPatterns(["(a+)+$"]))


@pytest.mark.usefixtures("no_re2")
def test_only_the_beginning_of_a_log_is_searched_in_this_process(workers: Workers) -> None:
    with closing(CombinedEngine([compile_pattern("b")], workers, 60.0)) as engine:
        block = b"a\n" * (combined.IN_PROCESS // 4)
        needed = []
        for _ in range(3):
            assert list(engine.scan(Block.of(block), [0], [])) == []
            needed.append(engine._worker._worker is not None)
        assert needed == [False, False, True]


def test_a_pattern_is_fast_if_no_line_can_make_it_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(combined.is_fast(pattern, 500) for pattern in ["lost", "a.*b", "(a+)+b", r"(?!x)a.*b"])
    assert not combined.is_fast(r"(?!y)(x+x+)+y", 500)
    monkeypatch.setattr(combined, "is_linear", lambda _: False)  # as without RE2
    assert all(combined.is_fast(pattern, 500) for pattern in ["lost", "a.*b", r"after \d+ beats"])
    assert not combined.is_fast("(a+)+b", 500)
