"""Which texts are patterns, and what they match."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import SpecError
from runtime.job import compile_pattern


def test_a_pattern_searches_bytes() -> None:
    pattern = compile_pattern(r"^UVM_(ERROR|FATAL) .*\xff")
    assert pattern.search(b"UVM_ERROR \xff")
    assert not pattern.search(b" UVM_ERROR \xff")


@pytest.mark.parametrize("pattern", [r"\[[:a]:]", r"[\[:alpha:]", "[:alpha:]", "[]:a:]", r"\[\[:alpha:]"])
def test_a_bracket_next_to_a_colon_is_accepted(pattern: str) -> None:
    compile_pattern(pattern)


def test_a_pattern_is_compiled_alone() -> None:
    assert compile_pattern("(?i)error").search(b"ERROR")
    assert not compile_pattern("error").search(b"ERROR")


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("a(", r"pattern 'a\(' is not a regular expression: .* at position 1"),
        ("a{2,1}", "is not a regular expression"),
        ("x(?i)", "is not a regular expression: global flags not at the start"),
        ("x{99999999999}", "is not a regular expression"),
        ("(" * 5000 + ")" * 5000, "is not a regular expression"),
        ("(?L)(?a)x", "is not a regular expression"),
        ("(?L)x", r"pattern '\(\?L\)x' has the flag L"),
        ("a|(?L:x)", "has the flag L"),
        ("x[[:alpha:]]", r"has \[:alpha:\] at position 2, which is no class of Python's; write a-z"),
        ("[^a[:^space:]_]", r"has \[:\^space:\] at position 3"),
        ("naïve", "pattern 'naïve' has 'ï' at position 2; patterns are ASCII"),
        (b"x", "a pattern is text, not b'x'"),
        (None, "a pattern is text, not None"),
        (["x"], r"a pattern is text, not \['x'\]"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: Any, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        compile_pattern(pattern)


def test_a_missing_group_is_named() -> None:
    groups = ("value", "unit")
    assert compile_pattern("(?P<value>[0-9]+) (?P<unit>ns)", groups=groups).groups == 2
    with pytest.raises(SpecError, match=r"has no group value, unit; write \(\?P<value>…\)"):
        compile_pattern("[0-9]+ ns", groups=groups)
    with pytest.raises(SpecError, match=r"has no group unit; write \(\?P<unit>…\)"):
        compile_pattern("(?P<value>[0-9]+) ns", groups=groups)
