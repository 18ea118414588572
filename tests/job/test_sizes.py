from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import SpecError
from runtime.job import JobSpec
from runtime.job.sizes import MAX_SIZE, parse_size, size_text


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (1, 1),
        (5000, 5000),
        ("5000", 5000),
        ("7B", 7),
        ("64K", 64 << 10),
        ("100M", 100 << 20),
        ("100m", 100 << 20),
        ("100MiB", 100 << 20),
        ("100MB", 100_000_000),
        ("1.5G", 3 << 29),
        (" 2 TiB ", 2 << 40),
        ("1P", 1 << 50),
    ],
)
def test_a_size_is_read(given: Any, size: int) -> None:
    assert parse_size(given) == size


@pytest.mark.parametrize(
    "given",
    [0, -1, "0", "", "M", "1X", "1 M B", "1iB", "1e3", "-5K", "0.2", True, None, 1.5, "9" * 30, 1 << 5000, "4096P"],
)
def test_what_is_no_size_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="no size; expected a number of bytes"):
        parse_size(given)


@given(st.integers(1, MAX_SIZE))
def test_a_size_for_people_can_be_read(size: int) -> None:
    assert parse_size(size_text(size).replace(" bytes", "")) == pytest.approx(size, rel=0.001)


def test_a_size_for_people() -> None:
    texts = [size_text(size) for size in (1, 1023, 1024, 100 << 20, 3 << 29, (1 << 30) - 1)]
    assert texts == ["1 bytes", "1023 bytes", "1 KiB", "100 MiB", "1.5 GiB", "1024 MiB"]


@pytest.mark.parametrize("value", [0, -1, 1.5, "100M", True, 1 << 61])
def test_the_limit_of_a_log_is_a_number_of_bytes(value: Any) -> None:
    with pytest.raises(SpecError, match="max_log is"):
        JobSpec(name="a", cmd="true", max_log=value)
    assert JobSpec(name="a", cmd="true", max_log=100).max_log == 100
