"""Random launchers, kills and cancels: a small run of ``python -m tests.campaigns launchers``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.campaigns.launchers import Program, play_in_virtual_time, programs


@pytest.mark.slow
@given(programs())
@settings(max_examples=30, derandomize=True, database=None)
def test_each_job_completes_once_and_is_polled_in_time_one_call_at_a_time(program: Program) -> None:
    play_in_virtual_time(program)
