from __future__ import annotations

import re

import pytest

from runtime.verdict import search_limits


def length(pattern: str) -> int:
    return search_limits.harmless_length(re.compile(pattern.encode()))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^TEST PASSED", 1_000_000),
        (r"^UVM_ERROR\s[^:].*$", 1_000_000),
        ("abc", 1_000_000),
        (r"^\s*Offending '.*'", 1000),
        ("a*b", 1000),
        ("a|b.*c", 707),
        ("(?i)err(or)?", 500_000),
        ("abc|xbd", 500_000),
        ("a*b*c", 99),
        (r"(a)\1", 1000),
        ("(?=a*)b", 1000),
        ("a{3}", 1_000_000),
        ("a{3,5}", 1000),
    ],
)
def test_a_search_is_bounded_by_the_ways_through_the_pattern(pattern: str, expected: int) -> None:
    assert length(pattern) == expected


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|ab)*c", "(?:a|ab){2}", "(?:a?){9}", "(a*){30}", "a{1001}", "(?>a)"])
def test_repeated_repetitions_have_no_bound(pattern: str) -> None:
    assert length(pattern) == -1


def test_without_the_parser_nothing_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_limits, "parse", lambda pattern: None)
    assert search_limits.harmless_length.__wrapped__(re.compile(b"a")) == -1
