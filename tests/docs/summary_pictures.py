"""The pictures of ``docs/summary.md``: what `report` prints of a night, after another night.

``python -m tests.docs.summary_pictures`` writes them into the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from runtime.history.index import Index
from runtime.history.news import news_of
from runtime.history.outcomes import remembered
from runtime.journal import Begin, RunState, replay
from runtime.report.group_lines import View
from runtime.report.run_report import report_sections
from runtime.report.screen_fit import screen_lines
from tests.report.html.synthetic import EPOCH, night
from tools import diagrams

PAGE: Final = Path(__file__).parents[2] / "docs" / "summary.md"
SCREENS: Final = ((80, 40), (200, 50))
"""Columns and rows."""
_DIRECTORY: Final = Path("/proj/chip")
_RUNS: Final = {"20260527-202640-1a2b3c": (700, EPOCH - 86400), "20260528-202640-4d5e6f": (1000, EPOCH)}
"""The names of two nights; how many jobs they have, and when they begin."""


def pictures() -> dict[str, str]:
    """Return the pictures, by their names in the page."""
    earlier, state = (_state(name, *of) for name, of in _RUNS.items())
    index = Index(None)
    try:
        index.put("journal", remembered(earlier, is_live=False))
        history = news_of(remembered(state, is_live=False), None, index)
    finally:
        index.close()
    found = {}
    for screen in SCREENS:
        sections = report_sections(state, View.on(screen, _DIRECTORY), is_live=False, history=history)
        lines = ["".join(text for text, _ in line) for line in screen_lines(sections, screen)]
        rows = [row for line in lines for row in _wrapped(line, screen[0])]
        found[f"summary of {screen[0]} columns"] = "\n".join(rows)
    return found


def page_with_pictures(page: str) -> str:
    """Return the text of the page with the pictures in their places."""
    return diagrams.put(page, pictures(), "text")


def _state(name: str, count: int, began: float) -> RunState:
    run_dir = str(_DIRECTORY / "results" / name)
    begin, *others = night(count, run_dir)
    assert isinstance(begin, Begin)
    return replay([attrs.evolve(begin, at=began), *others], run_dir)


def _wrapped(line: str, columns: int) -> Iterator[str]:
    """Yield the rows of a terminal that a line takes."""
    for first in range(0, max(1, len(line)), columns):
        yield line[first : first + columns]


if __name__ == "__main__":
    PAGE.write_text(page_with_pictures(PAGE.read_text("utf-8")), "utf-8")
