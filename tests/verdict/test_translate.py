from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.verdict import translate
from runtime.verdict.engine import PythonEngine
from runtime.verdict.linear import LinearEngine, is_linear
from runtime.verdict.lines import Block
from tests.verdict.strategies import BLOCKS, PATTERNS


@example([r"\bab", "$", r"a\b", "^b"], b"b ab\nb")
@example([r"(?i:\xe9)", r"(?i:[^\xe9])", "(?i)k"], b"\xc9\n\xe9\nK")
@given(st.lists(PATTERNS, min_size=1, max_size=4), BLOCKS)
def test_both_engines_give_the_same_hits(patterns: list[str], block: bytes) -> None:
    compiled = [re.compile(pattern.encode()) for pattern in patterns]
    linear = [number for number, pattern in enumerate(compiled) if is_linear(pattern)]
    for first, last in ((linear, []), ([], linear)):
        expected = set(PythonEngine(compiled).scan(Block.of(block), first, last))
        for rest in (b"", b"\n", b"\nab"):  # which was read with the block, and is no part of it
            part = Block(b"\n" + block + rest, len(block) + 1)
            assert set(LinearEngine(compiled).scan(part, first, last)) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        r"^UVM_ERROR\s[^:].*$",
        r"^\s*Offending '.*'",
        r"^Error-\[.*\]$",
        r"(a+)+$",
        r"(?:a|)*b",
        r"\Aa\Z",
        "(?i)error",
        "",
    ],
)
def test_usual_patterns_are_translated(pattern: str) -> None:
    assert is_linear(re.compile(pattern.encode()))


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        r"(a)\1",
        "(?>a)",
        "a*+",
        "(?L)a",
        r"\B",
        "a{1001}",
        "(?P<value>a?)*",
        "(?!)",
    ],
)
def test_a_pattern_without_an_equal_form_is_not_translated(pattern: str) -> None:
    assert translate.translate(re.compile(pattern.encode())) is None


def test_only_what_is_anchored_in_each_alternative_is_anchored() -> None:
    def anchored(pattern: bytes) -> bool:
        found = translate.translate(re.compile(pattern))
        assert found is not None
        return found.anchored

    assert anchored(b"^a")
    assert anchored(rb"\Aa")
    assert anchored(b"^a|^b")
    assert not anchored(b"^a|b")
    assert not anchored(b"(?:^a)?b")
    assert not anchored(b"")


def test_without_the_parser_nothing_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    assert translate.parse.__wrapped__(b"a") is None
