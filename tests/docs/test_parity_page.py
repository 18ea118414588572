"""Each test that docs/parity.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "parity.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))


def names_in(path: str) -> list[str]:
    return re.findall(r"^(?:async )?def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert name in names_in(path)


def test_the_first_table_has_the_tests_of_its_file_in_order() -> None:
    table = PAGE.partition("## The scheduler on launchers")[2].partition("## The adapter")[0]
    assert re.findall(r"^\| `(test_\w+)` \|", table, re.MULTILINE) == names_in("tests/scheduler/test_parity.py")


def test_each_row_has_a_test_and_every_row_as_many_cells() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith("|---")]
    assert len(rows) > len(NAMED)
    assert {row.count("|") for row in rows} == {4}
    assert [row for row in rows if "test" not in row] == []
