"""The page on job files tells of each kind of failure, with the status that goes with it."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.job import FailureKind

PAGE = (Path(__file__).parents[2] / "docs" / "job-files.md").read_text()


def test_each_kind_of_failure_is_told_with_its_status() -> None:
    table = PAGE.partition("| status | `kind` |")[2].partition("\n\n")[0]
    told = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ", table, re.MULTILINE)
    assert told == [(kind.status.name.lower(), kind.value) for kind in FailureKind]
