"""The campaigns can fail: who survives is seen."""

from __future__ import annotations

import pytest

from tests.campaigns import kills


@pytest.mark.slow
async def test_who_survives_a_kill_is_seen() -> None:
    """A process group is not all of a hostile job."""
    _, survivors = await kills.play(1, kills.AT_ONCE, "group", waited_for=1)
    assert {line.partition(":")[0] for line in survivors} >= {"setsid", "daemon"}
