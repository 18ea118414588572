from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.report.text import printable, short_duration


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


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0.0 s"), (0, "0.0 s"), (4.25, "4.2 s"), (59.9, "59.9 s"), (60, "1:00"), (185.4, "3:05"), (7209, "2:00:09")],
)
def test_a_duration_is_short(seconds: float, shown: str) -> None:
    assert short_duration(seconds) == shown
