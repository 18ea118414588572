"""Random faults of a queue; a campaign plays more of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.campaigns.queue import Program, play_in_virtual_time, programs


@pytest.mark.slow
@settings(max_examples=40, derandomize=True, database=None)
@given(programs())
def test_each_job_ends_once_and_truly_and_nothing_runs_twice(program: Program) -> None:
    play_in_virtual_time(program)
