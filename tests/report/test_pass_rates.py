from __future__ import annotations

from runtime.report.pass_rates import PassRates, Rate, pass_rates, place_of


def test_the_worst_come_first_and_what_all_passed_is_left_out() -> None:
    jobs = [("a.seed=1", True), ("a.seed=2", False), ("b.seed=1", False), ("b.seed=2", False), ("c", True)]
    assert pass_rates([*jobs, ("alone", False)]) == PassRates([Rate(0, 2, "b"), Rate(1, 2, "a")], [], [])


def test_all_values_of_a_parameter_are_there_if_one_failed() -> None:
    jobs = [("a.width=4.mode=x", False), ("a.width=8.mode=x", True), ("b.width=4.speed=1.5", False)]
    rates = pass_rates(jobs)
    assert rates.values == [Rate(0, 2, "width=4"), Rate(1, 1, "width=8")]  # all others have one value
    assert rates.in_common == ["width=4"]


def test_the_parameter_that_tells_most_comes_first() -> None:
    jobs = [(f"a.p={p}.q={q}", q == 1) for p in (1, 2) for q in (1, 2)]
    rates = pass_rates(jobs)
    assert [rate.name for rate in rates.values] == ["q=2", "q=1", "p=1", "p=2"]
    assert rates.in_common == ["q=2"]


def test_failures_without_the_parameter_or_a_single_one_have_nothing_in_common() -> None:
    jobs = [("a.width=4", False), ("a.width=8", True)]
    assert pass_rates(jobs).in_common == []
    assert pass_rates([*jobs, ("b", False)]).in_common == []
    assert pass_rates([*jobs, ("b.width=4", False)]).in_common == ["width=4"]


def test_what_jobs_have_in_common_is_their_test_and_its_values() -> None:
    ids = ["a.w=4.m=x.seed=1", "a.w=4.m=y.seed=2"]
    assert place_of(ids) == "a.w=4"
    assert place_of([*ids, "b.w=4"]) == "a, b, all with w=4"
    assert place_of([*ids, "b"]) == "a, b"
    assert place_of("abcdefgh") == "a, b, c, d, e, f, …"


def test_a_rate_is_rounded_down() -> None:
    assert Rate(999, 1000, "a").percent == 99
    assert Rate(0, 1, "width=4=5").parameter == "width"
    assert pass_rates([]) == PassRates([], [], [])
