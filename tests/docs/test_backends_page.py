"""The backend in docs/backends.md keeps the contract, with the fixture in that page."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from trio.testing import MockClock

from runtime import Control, Driver
from runtime.testing import BUFFERS, check_backend

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"


def programs_of_the_page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names that the two programs define: the backend, a module for the second one, and the fixture."""
    backend, fixture = re.findall(r"```python\n(from collections.*?)```", PAGE.read_text(), re.DOTALL)
    module = ModuleType("sleep_backend")
    exec(backend, vars(module))  # the page is ours, and running it is the point
    monkeypatch.setitem(sys.modules, module.__name__, module)
    namespace: dict[str, Any] = {}
    exec(fixture, namespace)
    return namespace


@pytest.mark.parametrize("buffer", BUFFERS)
async def test_the_backend_on_the_page_keeps_the_contract(
    buffer: float, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check_backend(programs_of_the_page(monkeypatch)["fixture"], buffers=[buffer])


def test_the_backend_on_the_page_has_forty_lines_and_no_private_name() -> None:
    backend, fixture = re.findall(r"```python\n(from collections.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in backend.splitlines() if line.strip()]) <= 40
    assert not re.findall(r"\b_(?!_name__|_main__)\w+", backend + fixture)


def test_the_backend_on_the_page_is_that_of_the_example() -> None:
    (backend, _) = re.findall(r"```python\n(from collections.*?)```", PAGE.read_text(), re.DOTALL)
    example = PAGE.parents[1] / "examples" / "sleep_backend" / "sleep_backend.py"
    assert example.read_text("utf-8").partition("\n\n")[2] == backend


@pytest.mark.parametrize(
    ("cls", "column"), [(Driver, "a driver defines"), (Control, "a driver calls, on its `control`")]
)
def test_the_tables_have_exactly_the_public_methods(cls: type, column: str) -> None:
    """Except those that a driver calls only to look."""
    table = PAGE.read_text().partition(f"| {column} |")[2].partition("\n\n")[0]
    described = set(re.findall(r"`(\w+)\(", "".join(row.split("|")[1] for row in table.splitlines()[2:])))
    defined = {name for name, value in vars(cls).items() if callable(value) and not name.startswith("_")}
    assert described == defined - {"attach", "live_jobs"}
