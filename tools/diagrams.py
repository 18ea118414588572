"""``python -m tools.diagrams``: draws the diagrams of docs/architecture.md from the code, and puts them into that page.

Each diagram is Mermaid text between two comments; the first has its name. A test fails if the page is out of date.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from runtime.job.status import LEGAL_MOVES
from tools.shape import read_package

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "architecture.md"


def package_imports(root: Path) -> dict[str, set[str]]:
    """Return the packages that each package imports. A module directly in `root` counts as a package."""
    modules = read_package(root)
    packages = {module.name.split(".")[1] for module in modules if module.name != root.name} - {"__main__"}
    found: dict[str, set[str]] = {name: set() for name in sorted(packages)}
    for module in modules:
        own = [*module.name.split("."), ""][1]
        if own in packages:
            found[own] |= {name.split(".")[1] for name in _imported(module.tree) if name.startswith(f"{root.name}.")}
    return {name: imported - {name} for name, imported in found.items()}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def draw_packages(imports: Mapping[str, set[str]]) -> str:
    """Return a graph with an arrow for each import, without arrows to packages that another import already reaches."""

    def reached(name: str) -> set[str]:
        return set().union(*({other} | reached(other) for other in imports[name]))

    lines = ["graph TD"]
    for name, imported in imports.items():
        through = set().union(*(reached(other) for other in imported))
        lines += [f"    {name} --> {other}" for other in sorted(imported - through)]
    return "\n".join(lines)


def draw_moves() -> str:
    """Return a state diagram with an arrow for each legal move of a job's status."""
    lines = ["stateDiagram-v2", "    [*] --> SCHEDULED"]
    for old, moves in LEGAL_MOVES.items():
        lines += [f"    {old.name} --> {new.name}" for new in sorted(moves, key=list(LEGAL_MOVES).index)]
        lines += [] if moves else [f"    {old.name} --> [*]"]
    return "\n".join(lines)


def drawings() -> dict[str, str]:
    """Return each diagram by its name."""
    return {"packages": draw_packages(package_imports(ROOT / "runtime")), "status moves": draw_moves()}


def put(page: str, drawn: Mapping[str, str], language: str = "mermaid") -> str:
    """Return the page with each diagram between its two comments.

    Raises:
        ValueError: if the page has no comments for a diagram.
    """
    for name, text in drawn.items():
        place = re.compile(rf"(<!-- drawn: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(page):
            msg = (
                f"the page has no place for {name!r}; expected <!-- drawn: {name} --> and <!-- end -->, each on a line"
            )
            raise ValueError(msg)
        block = f"```{language}\n{text}\n```\n"
        page = place.sub(rf"\g<1>{block}\g<2>", page)  # the text has no backslash, which `sub` would interpret
    return page


if __name__ == "__main__":
    PAGE.write_text(put(PAGE.read_text("utf-8"), drawings()), "utf-8")
