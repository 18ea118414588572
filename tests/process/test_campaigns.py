"""The campaigns can fail: who survives is seen."""

from __future__ import annotations

import pytest

from tests.campaigns import kills, plantings


@pytest.mark.slow
async def test_who_survives_a_kill_is_seen() -> None:
    """A process group is not all of a hostile job."""
    _, survivors = await kills.play(1, kills.AT_ONCE, "group", waited_for=1)
    assert {line.partition(":")[0] for line in survivors} >= {"setsid", "daemon"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", plantings.BACKENDS)
async def test_what_is_planted_in_the_paths_of_jobs_changes_nobodys_files_and_keeps_no_run_from_ending(
    backend: str,
) -> None:
    """Whether others are late is for the campaign, on a machine that has nothing else to do."""
    ends, _, _, changes = await plantings.play(1, plantings.AT_ONCE, backend)
    assert changes == {}
    assert ends.total() == plantings.AT_ONCE
