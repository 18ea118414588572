"""Random programs on the base of all backends. A campaign runs more of them."""

from __future__ import annotations

from hypothesis import given, settings

from tests.campaigns.contract import Scenario, play, scenarios


@settings(max_examples=200, derandomize=True, database=None)
@given(scenarios())
def test_each_accepted_job_is_accounted_for_once(scenario: Scenario) -> None:
    play(scenario)
