"""Processes that are killed while they append to a journal. The campaign `journal` kills more of them."""

from __future__ import annotations

import pytest

from tests.campaigns import journal


@pytest.mark.slow
def test_a_killed_process_leaves_all_that_was_acknowledged_and_the_next_one_continues() -> None:
    assert journal.run(seed=1, count=30).startswith("30 processes killed")
