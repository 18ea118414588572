"""Each Python file that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOTS = [ROOT, ROOT / "runtime", ROOT / "runtime" / "backend"]
"""The directories from which a page may give a path."""

ELSEWHERE = {
    "my_backend.py",
    "sleep_backend.py",
    "test_scheduler.py",
    "tests/test_runtime.py",
    "tests/test_scheduler.py",
}
"""Files that the reader of docs/backends.md writes, and DVSim's own tests, which docs/parity.md names."""


def paths_in(text: str) -> set[str]:
    return set(re.findall(r"`([\w./-]+\.py)(?:::[^`]*)?`", text)) - ELSEWHERE


def exists(path: str) -> bool:
    return any((root / path).is_file() for root in ROOTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_python_file_that_is_named_exists(page: Path) -> None:
    assert [path for path in sorted(paths_in(page.read_text("utf-8"))) if not exists(path)] == []


def test_a_path_is_found_and_a_wrong_one_is_noticed() -> None:
    text = "`backend/contract/live.py`, `tests/docs/test_paths.py::test_a`, `no/such.py` and `python -m x.py`"
    found = paths_in(text)
    assert found == {"backend/contract/live.py", "tests/docs/test_paths.py", "no/such.py"}
    assert {path for path in found if not exists(path)} == {"no/such.py"}


def test_each_class_that_stands_for_a_job_is_in_the_module_that_the_page_names() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"^\| (?:local: |batch: )?`(\w+)` \(`([\w/]+\.py)`\)", page, re.MULTILINE)
    assert len(named) == 10  # eight on each path
    for name, path in named:
        (module,) = (root / path for root in ROOTS if (root / path).is_file())
        assert f"class {name}" in module.read_text("utf-8"), path


def test_pages_name_many_files() -> None:
    assert len(set().union(*(paths_in(page.read_text("utf-8")) for page in PAGES))) > 100
