"""Comparisons: which changes follow from the two results of a job, and which jobs are compared with each other."""

from __future__ import annotations

import pytest

from runtime.history.comparison import Change, Comparison, compare
from runtime.history.judgements import Entry
from runtime.history.outcomes import Outcome
from tests.history.runs import head, outcome, run, series

# Before, now, and what follows if nothing else is known of the job. A dot: the run does not have it.
TABLE = {
    ".P": "added",
    ".F": "new added",
    ".K": "known added",
    ".I": "infrastructure added",
    ".N": "never_ran added",
    ".U": "unfinished added",
    "P.": "gone",
    "F.": "gone",
    "PP": "",
    "PF": "new",
    "PK": "known",
    "PI": "infrastructure",
    "PN": "never_ran",
    "PU": "unfinished",
    "FP": "fixed",
    "FF": "still_failing",
    "FK": "known",
    "FI": "infrastructure",
    "FN": "never_ran",
    "FU": "unfinished",
    "KP": "fixed",
    "KF": "new",
    "KK": "known",
    "IP": "",
    "IF": "new",
    "II": "infrastructure",
    "NP": "",
    "NF": "new",
    "UF": "new",
    "UP": "",
}


def changes(comparison: Comparison) -> dict[str, list[str]]:
    return {change.value: [each.id for each in found] for change, found in comparison.changes.items() if found}


@pytest.mark.parametrize(("letters", "expected"), TABLE.items())
def test_what_follows_from_two_results(letters: str, expected: str) -> None:
    before, now = ([] if letter == "." else [outcome(letter)] for letter in letters)
    found = changes(compare(run(2, now), run(1, before), {}))
    assert found == {change: ["t"] for change in expected.split()}


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("FIF", "still_failing"),  # the two that are compared are the last two
        ("PIF", "new"),
        ("FIP", "fixed"),
        ("PIP", None),
        ("FNF", "still_failing"),
        ("F.F", "still_failing"),
        ("FPF", "new"),
    ],
)
def test_if_the_earlier_run_does_not_tell_the_runs_before_it_do(letters: str, expected: str | None) -> None:
    entries = series(letters)
    base = [outcome(letters[1])] if letters[1] != "." else []
    found = changes(compare(run(3, [outcome(letters[2])]), run(2, base), {"t": entries}))
    found.pop("added", None)
    assert found == ({} if expected is None else {expected: ["t"]})


def test_of_a_run_of_chosen_jobs_the_others_are_not_gone_nor_are_they_added_to_it() -> None:
    both, one = [outcome("P", "a"), outcome("P", "b")], [outcome("P", "a")]
    assert changes(compare(run(2, one, partial=True), run(1, both), {})) == {}
    assert changes(compare(run(2, both), run(1, one, partial=True), {})) == {}


def seeds(letters: str, first: int) -> list[Outcome]:
    return [outcome(letter, "smoke", seed) for seed, letter in enumerate(letters, first)]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("PPP", "PPP", {}),
        ("PPP", "PFP", {"new": ["smoke"]}),
        ("PFP", "PPP", {"fixed": ["smoke"]}),
        ("FPP", "PPF", {"still_failing": ["smoke"]}),
        ("PPP", "PUP", {"unfinished": ["smoke"]}),
    ],
)
def test_jobs_whose_seeds_were_drawn_anew_are_compared_as_one_test(
    before: str, now: str, expected: dict[str, list[str]]
) -> None:
    assert changes(compare(run(2, seeds(now, 100)), run(1, seeds(before, 1)), {})) == expected


@pytest.mark.parametrize(("earlier", "never_passed"), [("(PP)", False), ("(PF)", True), (".", True)])
def test_a_seed_that_was_drawn_for_one_night_has_never_passed_only_if_its_test_has_not(
    earlier: str, never_passed: bool
) -> None:
    drawn = [outcome("F", "t", 5), outcome("P", "t", 6)]
    again = run(3, drawn[:1], partial=True)
    found = compare(again, run(2, drawn), {"t": [*series(earlier), Entry(head(2), drawn)]})
    (failing,) = found.changes[Change.STILL_FAILING]
    assert (failing.id, failing.judgement.failing, failing.judgement.never_passed) == ("t.seed=5", 2, never_passed)


def test_jobs_of_the_same_seed_are_compared_with_each_other() -> None:
    found = compare(run(2, seeds("PFPF", 1)), run(1, seeds("PPFF", 1)), {})
    assert changes(found) == {
        "new": ["smoke.seed=2"],
        "fixed": ["smoke.seed=3"],
        "still_failing": ["smoke.seed=4"],
    }
    assert changes(compare(run(2, seeds("PP", 2)), run(1, seeds("PP", 1)), {})) == {}
    assert changes(compare(run(2, seeds("PPP", 1)), run(1, seeds("PP", 1)), {})) == {"added": ["smoke.seed=3"]}


def test_what_is_flaky_is_told_if_one_of_the_two_runs_shows_it_or_it_fails() -> None:
    old = [Entry(head(number), [outcome(letter, revision="a")]) for number, letter in enumerate("PF", 1)]
    for number, letter, expected in (
        (3, "P", {"flaky": ["t"], "fixed": ["t"]}),
        (9, "P", {}),
        (9, "F", {"flaky", "new"}),
    ):
        now = [outcome(letter, revision="b")]
        before = old[1].outcomes if number == 3 else [outcome("P", revision="b", command=1)]
        base = run(2 if number == 3 else 8, before)
        assert changes(compare(run(number, now), base, {"t": old})).keys() == set(expected)


def test_what_is_slower_is_told_if_it_passed() -> None:
    old = [Entry(head(number), [outcome("P", seconds=10.0)]) for number in range(1, 7)]
    base = run(6, old[-1].outcomes)
    assert changes(compare(run(7, [outcome("P", seconds=100.0)]), base, {"t": old})) == {"slower": ["t"]}
    assert changes(compare(run(7, [outcome("N", seconds=100.0)]), base, {"t": old})) == {"never_ran": ["t"]}


def test_the_largest_bucket_comes_first() -> None:
    now = [outcome("F", name, bucket=bucket) for name, bucket in (("a", "x"), ("c", "y"), ("b", "y"))]
    found = compare(run(2, now), run(1, []), {})
    assert changes(found)["new"] == ["b", "c", "a"]
    assert (found.jobs, found.passed) == (3, 0)


def test_a_failure_with_another_message_is_told() -> None:
    now, before = [outcome("F", bucket="x")], [outcome("F", bucket="y")]
    (found,) = compare(run(2, now), run(1, before), {}).changes[Change.STILL_FAILING]
    assert found.has_new_bucket
    (found,) = compare(run(2, now), run(1, now), {}).changes[Change.STILL_FAILING]
    assert not found.has_new_bucket
    assert found.judgement.failing == 2


def test_runs_that_began_later_say_nothing_of_a_run() -> None:
    entries = series("PPFFF")
    found = compare(run(3, [outcome("F")]), run(2, [outcome("P")]), {"t": entries})
    (new,) = found.changes[Change.NEW]
    assert new.judgement.failing == 1


def test_a_run_that_is_compared_with_itself_counts_once() -> None:
    both = run(2, [outcome("F")])
    (failing,) = compare(both, both, {"t": series("FF")}).changes[Change.STILL_FAILING]
    assert failing.judgement.failing == 2
