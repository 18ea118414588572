"""The backend in docs/backends.md keeps the contract, with the fixture in that page."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from trio.testing import MockClock

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


NAMES = """_launch _kill _force _setup _serve _teardown _begin _launched _refuse _progress _complete
_complete_stopped _fail _start_task"""


@pytest.mark.parametrize("name", NAMES.split())
def test_each_method_that_the_page_describes_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"`{name}(" in PAGE.read_text()
    assert callable(getattr(programs_of_the_page(monkeypatch)["SleepBackend"], name))
