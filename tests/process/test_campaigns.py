"""The campaigns can fail: survivors are detected."""

from __future__ import annotations

import pytest

from tests.campaigns import kills, planted_files


@pytest.mark.slow
async def test_survivors_of_a_kill_are_detected() -> None:
    """The end of a process group is not the end of a hostile job."""
    _, survivors = await kills.play(1, kills.AT_ONCE, "group", waited_for=1)
    # Not "setsid": the descendants of the root get SIGTERM in other groups, too, and it does not ignore that.
    assert {line.partition(":")[0] for line in survivors} >= {"wiped", "daemon"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", planted_files.BACKENDS)
async def test_what_is_planted_in_the_paths_of_jobs_changes_nobodys_files_and_keeps_no_run_from_ending(
    backend: str,
) -> None:
    """Delays of other jobs are measured by the campaign alone, on an idle machine."""
    ends, _, _, changes = await planted_files.play(1, planted_files.AT_ONCE, backend)
    assert changes == {}
    assert ends.total() == planted_files.AT_ONCE
