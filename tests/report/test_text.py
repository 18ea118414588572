from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job.shorten import shorten
from runtime.report import text as texts
from runtime.report.text import printable, printable_start, short_duration


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("smoke.seed=1", "smoke.seed=1"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\r\t\0", "a\\nb\\r\\t\\x00"),
        ("a\u202eb\u200f", "a\\u202eb\\u200f"),
        ("\ud800", "\\ud800"),
        ("\x9b31m", "\\x9b31m"),
        ("žluťoučký kůň 中", "žluťoučký kůň 中"),
    ],
)
def test_characters_that_a_terminal_would_obey_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_any_text_becomes_printable(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode()


@given(st.text(st.sampled_from("a\x1b\u202e\ud800…")), st.integers(1, 40))
def test_the_beginning_of_a_text_is_that_of_the_printable_text(text: str, most: int) -> None:
    assert printable_start(text, most) == shorten(printable(text), most)


def test_no_more_of_a_long_text_is_looked_at_than_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def note(text: str) -> str:
        lengths.append(len(text))
        return text

    monkeypatch.setattr(texts, "printable", note)
    assert printable_start("\x1b" * 100_000, 5) == "\x1b\x1b\x1b\x1b…"
    assert lengths == [5]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0.0 s"), (0, "0.0 s"), (4.25, "4.2 s"), (59.9, "59.9 s"), (60, "1:00"), (185.4, "3:05"), (7209, "2:00:09")],
)
def test_a_duration_is_short(seconds: float, shown: str) -> None:
    assert short_duration(seconds) == shown
