"""The judgements, enumerated: what a row of runs of a test says."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from runtime.history.judgements import RECENT, Entry, flakiness, is_told, judge, slowness
from runtime.history.outcomes import FAILING, Standing, combined
from tests.history.runs import LETTERS, evolve, head, outcome, series


@pytest.mark.parametrize(
    ("letters", "failing", "since", "last_passed", "never_passed"),
    [
        ("P", 0, None, 1, False),
        ("F", 1, 1, None, True),
        ("PF", 1, 2, 1, False),
        ("PFF", 2, 2, 1, False),
        ("FFF", 3, 1, None, True),
        ("FFP", 0, None, 3, False),
        ("FPF", 1, 3, 2, False),
        ("PK", 1, 2, 1, False),
        ("PFKF", 3, 2, 1, False),
        # What says nothing about the design neither ends nor lengthens a row of failures.
        ("PFIF", 2, 2, 1, False),
        ("PFI", 1, 2, 1, False),
        ("PFN", 1, 2, 1, False),
        ("PFU", 1, 2, 1, False),
        ("PFp", 1, 2, 1, False),
        ("PPI", 0, None, 2, False),
        ("I", 0, None, None, False),
        ("NIU", 0, None, None, False),
        ("p", 0, None, None, False),
        ("IF", 1, 2, None, True),
        # A test fails if any of its jobs does, and passes when all have ended.
        ("P(PPF)", 1, 2, 1, False),
        ("(PF)(PP)", 0, None, 2, False),
        ("(PF)(PU)", 1, 1, None, True),
        ("(PF)(PI)", 0, None, 2, False),
        ("(PP)(FU)", 1, 2, 1, False),
        ("PF..F", 2, 2, 1, False),
    ],
)
def test_a_row_of_runs(
    letters: str, failing: int, since: int | None, last_passed: int | None, never_passed: bool
) -> None:
    judgement = judge(series(letters))
    assert judgement.failing == failing
    assert judgement.failing_since == (None if since is None else head(since))
    assert judgement.last_passed == (None if last_passed is None else head(last_passed))
    assert judgement.never_passed is never_passed


@pytest.mark.parametrize("letters", ["PF", "PFF", "PFI", "PPFKF", "P(PPF)", "FFP", "P", "PFp", "FPNF"])
def test_older_runs_change_nothing_if_the_newest_ones_tell(letters: str) -> None:
    assert is_told(series(letters))
    for older in ("F", "P", "FFFF", "I"):
        entries = series(older + letters)
        found = judge(entries[len(older) :])
        assert attrs.evolve(judge(entries), flaky=None) == attrs.evolve(found, flaky=None)
    assert not is_told(series("FFKIN"))


def test_each_set_of_standings_has_one_that_matters_most() -> None:
    assert combined([]) is None
    for size in range(1, len(LETTERS) + 1):
        for letters in itertools.combinations(LETTERS, size):
            found = combined(outcome(letter) for letter in letters)
            assert (found in FAILING) is bool({"F", "K"} & set(letters))
            assert (found is Standing.FAILED) is ("F" in letters)
            if found is Standing.PASSED:
                assert not {"F", "K", "U"} & set(letters)


def test_a_partial_run_in_which_some_jobs_of_a_test_pass_does_not_end_its_failures() -> None:
    night, rerun = series("(PPF)P")
    assert judge([night, evolve(rerun, partial=True)]).failing == 1
    assert judge([night, rerun]).failing == 0
    all_of_them = Entry(head(2, partial=True), [outcome("P", seed=seed) for seed in range(3)])
    assert judge([night, all_of_them]).failing == 0
    fails = Entry(head(2, partial=True), [outcome("F", seed=2)])
    assert judge([night, fails]).failing == 2


# ---------------------------------------------------------------------- flaky


def entry(number: int, letter: str, **fields: Any) -> Entry:
    return Entry(head(number), [outcome(letter, **{"revision": "a", **fields})])


@pytest.mark.parametrize(
    ("entries", "flaky_in"),
    [
        ([entry(1, "P"), entry(2, "F")], "run2"),
        ([entry(1, "F"), entry(2, "P")], "run2"),
        ([entry(1, "P"), entry(2, "P")], None),
        ([entry(1, "P"), entry(2, "K")], "run2"),
        ([entry(1, "P"), entry(2, "I")], None),
        ([entry(1, "P"), entry(2, "N")], None),
        ([entry(1, "P"), entry(2, "f")], None),
        ([entry(1, "P"), entry(2, "F", revision="b")], None),
        ([entry(1, "P", revision=None), entry(2, "F", revision=None)], None),
        ([entry(1, "P"), entry(2, "F", command=7)], None),
        ([entry(1, "P", seed=1), entry(2, "F", seed=2)], None),
        ([entry(1, "P", seed=1), entry(2, "F", seed=1)], "run2"),
        ([entry(1, "P", flaky=True), entry(2, "P")], "run1"),
        ([entry(1, "F", flaky=True)], "run1"),
        ([entry(1, "P", flaky=True, revision=None)], "run1"),
    ],
)
def test_flaky_is_what_had_both_results_for_one_revision_and_command(
    entries: list[Entry], flaky_in: str | None
) -> None:
    found = flakiness(entries)
    assert (None if found is None else found.run) == flaky_in


def test_what_was_flaky_long_ago_is_not_called_so() -> None:
    old = [entry(1, "P"), entry(2, "F")]
    later = [entry(number, "P", revision="b") for number in range(3, RECENT + 2)]
    assert judge([*old, *later[:-1]]).flaky is not None
    assert judge([*old, *later]).flaky is None


# ---------------------------------------------------------------------- slower


@pytest.mark.parametrize(
    ("before", "now", "is_slower"),
    [
        ([10] * 5, 16, True),
        ([10] * 5, 15, False),
        ([10] * 4, 100, False),
        ([1] * 5, 6.0, False),
        ([1] * 5, 6.1, True),
        ([100] * 5, 149, False),
        ([10, 10, 10, 10, 500], 16, True),
        ([10] * 5, 1, False),
        ([None] * 5, 100, False),
        ([10] * 5, None, False),
    ],
)
def test_slower_is_what_takes_much_longer_than_the_median_of_enough_passes(
    before: list[float | None], now: float | None, is_slower: bool
) -> None:
    entries = [entry(number, "P", seconds=seconds) for number, seconds in enumerate([*before, now])]
    assert (slowness(entries) is not None) is is_slower
    assert (judge(entries).slower is not None) is is_slower


def test_only_passes_count_for_the_median() -> None:
    entries = [entry(number, letter, seconds=10) for number, letter in enumerate("PPPPFp")]
    assert slowness([*entries, entry(9, "P", seconds=100)]) is None
    found = slowness([entry(0, "P", seconds=10), *entries, entry(9, "P", seconds=100)])
    assert found is not None
    assert (found.seconds, found.median, found.passes) == (100, 10, 5)
    assert slowness([]) is None
