"""Tests that the diagrams of docs/architecture.md match the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import diagrams


def test_the_page_matches_the_code() -> None:
    page = diagrams.PAGE.read_text("utf-8")
    assert diagrams.put(page, diagrams.drawings()) == page, "run: python -m tools.diagrams"


def test_imports_are_those_of_packages(tmp_path: Path) -> None:
    root = tmp_path / "package"
    for name, text in {
        "a/x.py": "",
        "b/y.py": "from package.a.x import X\nimport os",
        "c.py": "from package.b import y",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    assert diagrams.package_imports(root) == {"a": set(), "b": {"a"}, "c": {"b"}}


def test_an_import_that_another_package_already_reaches_has_no_arrow() -> None:
    drawn = diagrams.draw_packages({"a": set(), "b": {"a"}, "c": {"a", "b"}})
    assert drawn.splitlines()[1:] == ["    b --> a", "    c --> b"]


def test_a_diagram_without_a_place_in_the_page_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for 'packages'"):
        diagrams.put("# A page\n", {"packages": "graph TD"})
