"""Tests of `benchmarks.report`: the table and the files."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.model import OURS, Answer, Figure
from benchmarks.report import latest, number, table, write

ANSWERS = [
    Answer(
        Figure("speed", "rate", "jobs/s", "higher", "cli", {"dvsim": "d", "<old & tired>": "o"}),
        120_000.0,
        {"dvsim": 12_000.0, "<old & tired>": 60_000.0},
        {"dvsim": 10.0, "<old & tired>": 2.0},
        {"dvsim": (9.5, 11.25), "<old & tired>": (1.9, 2.1)},
        {OURS: [110_000.0, 120_000.0], "dvsim": [12_000.0, 12_000.0], "<old & tired>": [60_000.0, 60_001.0]},
    ),
    Answer(
        Figure("gap", "ms", "ms", "lower", "cli", {"idle": "i"}),
        0.5,
        {"idle": 0.25},
        {"idle": 0.5},
        {"idle": (0.4, 0.6)},
        {OURS: [0.5], "idle": [0.25]},
    ),
]


def test_the_table_has_a_line_for_each_peer() -> None:
    lines = table(ANSWERS).splitlines()
    assert lines[0].split() == ["figure", "unit", "ours", "peer", "ratio", "spread"]
    assert lines[2].split("  ")[0] == "speed"
    assert lines[2].endswith("jobs/s (higher is better)  120,000  dvsim          12,000  10.00  9.50 to 11.25")
    assert lines[3].split() == ["<old", "&", "tired>", "60,000", "2.00", "1.90", "to", "2.10"]
    assert len(lines) == 5


def test_latest_has_exactly_the_keys_that_are_promised() -> None:
    printed = latest(ANSWERS, {"dvsim": "1.57"}, {"cpus": 2})
    assert printed[0] == {
        "name": "speed",
        "unit": "jobs/s",
        "better": "higher",
        "ours": 120_000.0,
        "peers": {"dvsim": 12_000.0, "<old & tired>": 60_000.0},
        "ratios": {"dvsim": 10.0, "<old & tired>": 2.0},
        "versions": {"dvsim": "1.57"},
        "machine": {"cpus": 2},
    }


def test_files_are_written_and_a_plot_for_each_figure(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    write(folder, ANSWERS, {}, {})
    assert {path.name for path in folder.iterdir()} == {"latest.json", "samples.json", "speed.svg", "gap.svg"}
    assert json.loads((folder / "latest.json").read_text()) == latest(ANSWERS, {}, {})
    assert json.loads((folder / "samples.json").read_text())["speed"]["dvsim"] == [12_000.0, 12_000.0]
    svg = "{http://www.w3.org/2000/svg}"
    drawn = ET.fromstring((folder / "speed.svg").read_text())
    bars = [float(bar.get("width", "")) for bar in drawn.findall(f"{svg}rect")][1:]
    assert bars == pytest.approx([bars[0], bars[0] / 10, bars[0] / 2], abs=0.1)
    assert len(drawn.findall(f"{svg}circle")) == 6
    assert "<old & tired>" in [text.text for text in drawn.findall(f"{svg}text")]


@pytest.mark.parametrize(
    ("value", "shown"), [(123_456.7, "123,457"), (99.94, "99.9"), (5.678, "5.68"), (0.01234, "0.0123"), (0, "0")]
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown
