from __future__ import annotations

import pytest

from runtime.verdict.judge import seconds


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (b"2", b"h", 7200.0),
        (b"1.5", b"m", 90.0),
        (b"3", b"s", 3.0),
        (b"3", b"S", 3.0),
        (b"4", b"ms", 0.004),
        (b"5", b"us", 5e-6),
        (b"6", b"ns", 6e-9),
        (b"7e3", b"ps", 7e-9),
        (b"8", b"fs", 8e-15),
        (b"0", b"s", 0.0),
    ],
)
def test_a_time_is_in_seconds(value: bytes, unit: bytes, expected: float) -> None:
    assert seconds(value, unit) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (None, b"s"),
        (b"1", None),
        (b"", b"s"),
        (b"1", b"days"),
        (b"one", b"s"),
        (b"-1", b"s"),
        (b"nan", b"s"),
        (b"inf", b"s"),
        (b"1e400", b"s"),
        (b"1", b"\xb5s"),
    ],
)
def test_a_text_that_is_no_time_is_none(value: bytes | None, unit: bytes | None) -> None:
    assert seconds(value, unit) is None
