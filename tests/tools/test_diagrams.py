"""The drawings of docs/architecture.md are what the code says now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import diagrams


def test_the_page_has_what_the_code_says() -> None:
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


def test_an_arrow_is_left_out_where_another_package_leads() -> None:
    drawn = diagrams.draw_packages({"a": set(), "b": {"a"}, "c": {"a", "b"}})
    assert drawn.splitlines()[1:] == ["    b --> a", "    c --> b"]


def test_a_drawing_without_a_place_is_named() -> None:
    with pytest.raises(ValueError, match="no place for 'packages'"):
        diagrams.put("# A page\n", {"packages": "graph TD"})
