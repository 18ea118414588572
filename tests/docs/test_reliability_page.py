"""Each line of docs/reliability.md names a test that exists; each fault of the catalogue has exactly one line."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from runtime.testing import CHECKS
from tests.prior_art.adapter_scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
TABLES, _, NOT_BUILT = PAGE.partition("\n## Not built yet\n")

CATALOGUE = {"A": 17, "L": 26, "S": 20, "G": 9, "F": 6, "D": 15, "J": 20, "R": 12, "I": 15}
"""The number of faults of each kind; `I` are the invariants."""

REFERENCE = re.compile(r"`((?:tests|runtime)/[^`:]+\.py)::([^`]+)`")
CALLED_BY_OTHERS = {function.__name__ for function in (*CHECKS, *SCENARIOS)}
"""Functions that are not tests: the conformance suite runs them for each backend, or a test for each adapter."""


def rows() -> list[list[str]]:
    """Return the cells of all rows of all tables, without headers and separators."""
    lines = [line for line in TABLES.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {number for number, row in enumerate(cells) if set("".join(row)) == {"-"}}
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


@functools.cache
def names_in(path: str) -> set[str]:
    """Return the names that a module defines at its top level."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def faults_in(text: str) -> Iterator[str]:
    """Yield the faults that `text` names, with ranges expanded."""
    for kind, first, last in re.findall(r"\b([ALSGFDJRI])([1-9]\d?)(?:–\1([1-9]\d?))?\b", text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{kind}{number}"


def test_the_page_has_tables() -> None:
    assert len(rows()) > 100
    assert NOT_BUILT


def test_each_row_names_a_test_and_nothing_else_in_its_last_cell() -> None:
    for row in rows():
        assert all(row), row
        assert REFERENCE.search(row[-1]), row
        assert not REFERENCE.sub("", row[-1]).strip(), row


def exists(path: str, name: str) -> bool:
    """Return whether there is such a test, or a function that a test runs."""
    if not (ROOT / path).is_file() or name not in names_in(path):
        return False
    collected = Path(path).name.startswith("test_") and name.startswith(("test_", "Test"))
    return collected or name in CALLED_BY_OTHERS


def test_each_test_that_is_named_exists() -> None:
    assert [reference for reference in sorted(set(REFERENCE.findall(PAGE))) if not exists(*reference)] == []
    assert not exists("tests/scheduler/test_run.py", "test_that_nobody_wrote")
    assert not exists("tests/scheduler/planning.py", "job")
    assert not exists("tests/scheduler/test_no_such.py", "test_a")


def test_each_fault_has_one_line() -> None:
    everything = [f"{kind}{number}" for kind, last in CATALOGUE.items() for number in range(1, last + 1)]
    in_tables = [row[0] for row in rows() if re.fullmatch(r"[A-Z]\d+", row[0])]
    assert sorted([*in_tables, *faults_in(NOT_BUILT)]) == sorted(everything)


def test_what_is_not_built_names_no_test() -> None:
    assert not REFERENCE.findall(NOT_BUILT)


def test_each_fault_of_the_list_of_others_has_a_line() -> None:
    section = PAGE.partition("\n## What others bring\n")[2].partition("\n## ")[0]
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert set(numbers) == set(range(1, 30))
    for part in section.split("\n### ")[1:]:
        listed = [int(number) for number in re.findall(r"^\| (\d+) \|", part, re.MULTILINE)]
        assert listed == sorted(listed), part.partition("\n")[0]
