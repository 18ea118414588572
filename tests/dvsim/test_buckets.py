"""The figures of docs/job-files.md about DVSim's failure buckets."""

from __future__ import annotations

import re
from pathlib import Path

from tests.dvsim.running import ROOT, run_program


def test_dvsim_s_buckets_of_the_corpus_are_as_recorded(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "job-files.md").read_text()
    rows = re.findall(r"^\| `(\w+\.txt)` \| (none|typical) \|.* \| (\d+) \| ([\d.]+) \| (\d+) \|$", page, re.MULTILINE)
    recorded = {f"{name} {'without' if how == 'none' else 'with'}": figures for name, how, *figures in rows}
    found = {
        name: re.findall(r"(\d+) buckets, purity ([\d.]+), at most (\d+)", text)[0]
        for name, text in run_program("buckets", tmp_path).items()
    }
    assert {name: tuple(figures) for name, figures in recorded.items()} == found
