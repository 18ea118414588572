from __future__ import annotations

from runtime.report.html.pass_rates import Rate, pass_rates


def test_the_worst_come_first_and_what_all_passed_is_left_out() -> None:
    jobs = [("a.seed=1", True), ("a.seed=2", False), ("b", False), ("c", True)]
    assert pass_rates(jobs) == ([Rate(0, 1, "b"), Rate(1, 2, "a")], [])


def test_all_values_of_a_parameter_are_there_if_one_failed() -> None:
    jobs = [("a.width=4.mode=x", False), ("a.width=8.mode=x", True), ("b.width=4.speed=1.5", False)]
    _, values = pass_rates(jobs)
    assert values == [Rate(0, 2, "width=4"), Rate(1, 1, "width=8")]  # all others have one value


def test_the_parameter_that_tells_most_comes_first() -> None:
    jobs = [(f"a.p={p}.q={q}", q == 1) for p in (1, 2) for q in (1, 2)]
    _, values = pass_rates(jobs)
    assert [rate.name for rate in values] == ["q=2", "q=1", "p=1", "p=2"]


def test_a_rate_is_rounded_down() -> None:
    assert Rate(999, 1000, "a").percent == 99
    assert pass_rates([]) == ([], [])
