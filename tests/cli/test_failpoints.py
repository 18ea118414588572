"""Harm at operations on the files of a run: one of each kind. The campaign `failpoints` takes all of them."""

from __future__ import annotations

import pytest

from tests.campaigns.failpoints import harm
from tests.cli.failpoints import Failpoint, Harm, Operation

pytestmark = pytest.mark.slow

JOBS = 40
"""Fewer than in the campaign: enough for each of the operations."""
JOURNAL = "journal.jsonl"
POINTS = [
    Failpoint(Operation(call, file, nth), each)
    for call, file, nth, each in (
        ("write", "journal.lock", 0, Harm.MIDDLE),
        ("write", "journal.secrets", 0, Harm.MIDDLE),
        ("rename", "latest", 0, Harm.BEFORE),
        ("open", JOURNAL, 0, Harm.AFTER),
        ("write", JOURNAL, 0, Harm.MIDDLE),
        ("write", JOURNAL, 8, Harm.BEFORE),
        ("fdatasync", JOURNAL, 1, Harm.AFTER),
        ("write", "journal.secrets", 0, Harm.FULL),
        ("write", JOURNAL, 0, Harm.FULL),
        ("write", JOURNAL, 8, Harm.FULL),
        ("rename", "results.json", 0, Harm.FULL),
        ("ftruncate", JOURNAL, 0, Harm.BEFORE),
    )
]


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_run_that_is_harmed_is_resumed(point: Failpoint) -> None:
    assert harm(point, JOBS) >= 1
