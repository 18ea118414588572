"""A text that was cut has an ellipsis where something is missing."""

from __future__ import annotations

from runtime.job.shorten import shorten, shorten_to_end, some_of


def test_long_text_is_cut() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
    assert shorten("ab", 1) == "…"


def test_the_end_can_be_kept() -> None:
    assert shorten_to_end("abcdef", 6) == "abcdef"
    assert shorten_to_end("abcdefg", 6) == "…cdefg"
    assert shorten_to_end("abc", 2) == "…c"


def test_the_first_texts_are_listed() -> None:
    assert some_of([], 2) == ""
    assert some_of(["a", "b"], 2) == "a, b"
    assert some_of(["a", "b", "c"], 2) == "a, b, …"
