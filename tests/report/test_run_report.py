"""The report of a run that lives: whether somebody has paused or stopped it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.journal import Record, Requested, Stopping
from runtime.report.group_lines import View
from runtime.report.run_report import report_sections
from tests.report.results import result
from tests.report.states import records, state_of

RUN_DIR = "/out/20260102-030405-abcdef"
PAUSE = Requested(at=1.0, by="ctl of ann\x1b[2J", action="pause")
RESUME = Requested(at=2.0, by="ctl of bob", action="resume")
LIMIT = Requested(at=3.0, by="ctl of bob", action="limit", resource="licence", limit=2)
STOPPING = Stopping(4.0, "ctl of eve")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], ""),
        ([PAUSE, LIMIT], "; launching is paused by ctl of ann\\x1b[2J"),
        ([PAUSE, RESUME, LIMIT], ""),
        ([PAUSE, STOPPING], "; it is being stopped by ctl of eve"),
    ],
)
def test_a_live_run_that_starts_nothing_says_who_wants_that(more: list[Record], expected: str) -> None:
    state = state_of([*records([result("a")], RUN_DIR, ended=None), *more], RUN_DIR)
    _, section, *_ = report_sections(state, View(Path("/")), is_live=True)
    assert "".join(text for text, _ in section.title) == f"0 of its jobs have not ended{expected}"


def test_a_run_without_a_segment_says_nothing_of_it() -> None:
    _, section, *_ = report_sections(state_of([], RUN_DIR), View(Path("/")), is_live=True)
    assert len(section.title) == 1
