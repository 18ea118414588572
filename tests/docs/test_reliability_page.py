"""Each line of docs/reliability.md names a test that exists; no fault of the catalogue is left out or told twice."""

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

CATALOGUE = {"A": 17, "L": 26, "S": 20, "D": 15, "J": 20, "R": 12, "I": 15}
"""How many faults there are of each kind; `I` are the invariants."""

REFERENCE = re.compile(r"`((?:tests|runtime)/[^`:]+\.py)::([^`]+)`")
CALLED_BY_OTHERS = {function.__name__ for function in (*CHECKS, *SCENARIOS)}
"""What is no test of its own: the conformance suite runs it for each backend, or a test for each adapter."""


def rows() -> list[list[str]]:
    """The cells of all rows of all tables, without heads and rules."""
    lines = [line for line in TABLES.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {number for number, row in enumerate(cells) if set("".join(row)) == {"-"}}
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


@functools.cache
def names_in(path: str) -> set[str]:
    """What a module defines at its top."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def told(text: str) -> Iterator[str]:
    """The faults that are named in `text`, with ranges written out."""
    for kind, first, last in re.findall(r"\b([ALSDJRI])([1-9]\d?)(?:–\1([1-9]\d?))?\b", text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{kind}{number}"


def test_the_page_has_tables_of_what_it_tells() -> None:
    assert len(rows()) > 100
    assert NOT_BUILT


def test_each_row_names_a_test_and_nothing_else_in_its_last_cell() -> None:
    for row in rows():
        assert all(row), row
        assert REFERENCE.search(row[-1]), row
        assert not REFERENCE.sub("", row[-1]).strip(), row


def exists(path: str, name: str) -> bool:
    """Whether there is such a test, or something that a test runs."""
    if not (ROOT / path).is_file() or name not in names_in(path):
        return False
    collected = Path(path).name.startswith("test_") and name.startswith(("test_", "Test"))
    return collected or name in CALLED_BY_OTHERS


def test_each_test_that_is_named_exists() -> None:
    assert [reference for reference in sorted(set(REFERENCE.findall(PAGE))) if not exists(*reference)] == []
    assert not exists("tests/scheduler/test_run.py", "test_that_nobody_wrote")
    assert not exists("tests/scheduler/planning.py", "job")
    assert not exists("tests/scheduler/test_no_such.py", "test_a")


def test_each_fault_is_told_once() -> None:
    everything = [f"{kind}{number}" for kind, last in CATALOGUE.items() for number in range(1, last + 1)]
    in_tables = [row[0] for row in rows() if re.fullmatch(r"[A-Z]\d+", row[0])]
    assert sorted([*in_tables, *told(NOT_BUILT)]) == sorted(everything)


def test_what_is_not_built_names_no_test() -> None:
    assert not REFERENCE.findall(NOT_BUILT)


def test_each_thing_that_others_bring_is_told() -> None:
    section = PAGE.partition("\n## What others bring\n")[2].partition("\n## ")[0]
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert set(numbers) == set(range(1, 30))
    for part in section.split("\n### ")[1:]:
        told_here = [int(number) for number in re.findall(r"^\| (\d+) \|", part, re.MULTILINE)]
        assert told_here == sorted(told_here), part.partition("\n")[0]
