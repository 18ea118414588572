"""docs/job-files.md lists each kind of failure with its status."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.job import FailureKind

PAGE = (Path(__file__).parents[2] / "docs" / "job-files.md").read_text()


def test_each_kind_of_failure_is_listed_with_its_status() -> None:
    table = PAGE.partition("| status | `kind` |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ", table, re.MULTILINE)
    assert listed == [(kind.status.name.lower(), kind.value) for kind in FailureKind]
