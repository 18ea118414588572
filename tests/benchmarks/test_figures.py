"""Tests of `benchmarks.figures`: medians, and ratios that are above 1 if ours is better."""

from __future__ import annotations

import pytest

from benchmarks.figures import answer
from benchmarks.model import OURS, Figure

SAMPLES = {
    "cli": [{"rate": 100.0, "mb": 10.0}, {"rate": 300.0, "mb": 30.0}, {"rate": 200.0, "mb": 20.0}],
    "other": [{"rate": 50.0, "mb": 20.0}, {"rate": 100.0, "mb": 15.0}, {"rate": 400.0, "mb": 40.0}],
}


def test_medians_ratios_and_their_spread_where_more_is_better() -> None:
    found = answer(Figure("speed", "rate", "jobs/s", "higher", "cli", {"peer": "other"}), SAMPLES)
    assert found.ours == 200
    assert found.peers == {"peer": 100}
    assert found.ratios == {"peer": 2}
    assert found.spreads == {"peer": (0.5, 3)}  # round by round: 2, 3, 0.5
    assert found.values == {OURS: [100, 300, 200], "peer": [50, 100, 400]}


def test_a_ratio_above_one_is_better_where_less_is_better() -> None:
    found = answer(Figure("memory", "mb", "MB", "lower", "cli", {"peer": "other", "itself": "cli"}), SAMPLES)
    assert found.ours == 20
    assert found.peers == {"peer": 20, "itself": 20}
    assert found.ratios == {"peer": 1, "itself": 1}
    assert found.spreads["peer"] == (0.5, 2)  # 20/10, 15/30, 40/20
    assert found.spreads["itself"] == (1, 1)


def test_a_measure_that_a_sample_lacks_is_an_error() -> None:
    with pytest.raises(KeyError, match="speed"):
        answer(Figure("x", "speed", "s", "lower", "cli", {}), SAMPLES)
