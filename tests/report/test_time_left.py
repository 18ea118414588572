"""The time that is left is estimated from earlier runs, or from the mean of this one."""

from __future__ import annotations

import pytest

from runtime.report.expectations import Expectations
from runtime.report.text import rough_duration
from runtime.report.time_left import MIN_ENDED, Estimate, TimeLeft

NIGHTS = Expectations(5, {"smoke": 60.0, "build": 300.0})


def jobs(*tests: str) -> list[tuple[str, int | None]]:
    return [(f"{test}.seed={seed}", seed) for seed, test in enumerate(tests)]


def test_what_earlier_runs_tell_counts_from_the_beginning() -> None:
    left = TimeLeft()
    left.add(jobs("build", *["smoke"] * 10))
    left.expect(NIGHTS)
    assert left.estimate(11, 0, 0.0) is None  # none runs
    assert left.estimate(11, 1, 100.0) == Estimate(300 + 10 * 60 - 100, 5)
    left.end("build.seed=0", 300.0)
    assert left.estimate(10, 4, 4 * 30.0) == Estimate((10 * 60 - 4 * 30) / 4, 5)


def test_it_does_not_matter_when_that_is_known() -> None:
    estimates = []
    for moment in range(3):
        left = TimeLeft()
        for step in range(3):
            if step == moment:
                left.expect(NIGHTS)
            if step == 0:
                left.add(jobs("build", "smoke"))
            elif step == 1:
                left.end("build.seed=0", 300.0)
        estimates.append(left.estimate(1, 1, 10.0))
    assert set(estimates) == {Estimate(50.0, 5)}


@pytest.mark.parametrize("early", [True, False])
def test_a_job_that_is_run_again_counts_again_and_one_that_is_added_twice_once(early: bool) -> None:
    left = TimeLeft()
    left.add(jobs("smoke", "smoke"))
    if early:
        left.expect(NIGHTS)
    left.end("smoke.seed=0", 60.0)
    left.add(jobs("smoke", "smoke"))
    if not early:
        left.expect(NIGHTS)
    assert left.estimate(2, 1, 0.0) == Estimate(120.0, 5)


def test_of_jobs_of_which_nothing_is_known_the_mean_of_this_run_counts() -> None:
    left = TimeLeft()
    for number in range(MIN_ENDED):
        assert left.estimate(100, 1, 0.0) is None
        left.end(str(number), 10.0)
    left.end("of another run", None)
    assert left.estimate(20, 2, 10.0) == Estimate((20 * 10.0 - 2 * 5.0) / 2, 0)


def test_with_some_known_the_others_are_estimated_and_the_larger_part_gives_the_name() -> None:
    left = TimeLeft()
    left.add(jobs("smoke", "new", "new"))
    left.expect(NIGHTS)
    assert left.estimate(3, 1, 0.0) == Estimate(180.0, 0)
    assert left.estimate(2, 1, 0.0) == Estimate(120.0, 5)


def test_jobs_that_take_longer_than_expected_make_no_negative_time() -> None:
    left = TimeLeft()
    left.add(jobs("smoke"))
    left.expect(NIGHTS)
    assert left.estimate(1, 1, 1000.0) == Estimate(0.0, 5)
    assert left.estimate(0, 1, 1000.0) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "10 s"), (44.9, "40 s"), (61, "1 min"), (3600, "60 min"), (5400, "1.5 h"), (90_000, "25.0 h")],
)
def test_it_is_told_roughly(seconds: float, text: str) -> None:
    assert rough_duration(seconds) == text


def test_a_job_that_has_ended_stays_so_when_others_are_added() -> None:
    left = TimeLeft()
    left.add([("a", None)])
    left.end("a", 1.0)
    left.add([("b", None)])
    left.expect(Expectations(1, {"a": 5.0, "b": 7.0}))
    assert left.usual == {"b": 7.0}
