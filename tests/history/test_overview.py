"""The tests of which there is something to tell: the same whether all runs are read or only as many as are needed."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest

from runtime.history.comparison import Change, Compared, Comparison, compare
from runtime.history.index import Index
from runtime.history.judgements import judge
from runtime.history.overview import histories, overview, run_before, series_for
from tests.history.runs import head, outcome, run


def nights(seed: int, count: int = 90) -> Index:
    """Many runs of tests of all sorts: some fail for all of them, some not for long, some have seeds."""
    chance = random.Random(seed)
    index = Index()
    bad = {test: chance.choice([0, 0, 0.02, 0.5, 1]) for test in "abcdefghij"}
    for number in range(count):
        index.put(
            "j",
            run(
                number,
                [
                    outcome("F" if chance.random() < bad[test] else chance.choice("PPPPI"), test, seed, seconds=10.0)
                    for test in bad
                    for seed in ([None] if test < "f" else chance.sample(range(1000), 3))
                ],
                partial=chance.random() < 0.1,
            ),
        )
    return index


def changes(comparison: Comparison) -> dict[Change, list[Compared]]:
    """What has changed; without the last pass of what does not fail, which only all runs tell."""
    return {
        change: [
            each
            if each.judgement.failing
            else attrs.evolve(each, judgement=attrs.evolve(each.judgement, last_passed=None))
            for each in found
        ]
        for change, found in comparison.changes.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_a_judgement_does_not_depend_on_how_many_runs_are_read(seed: int) -> None:
    index = nights(seed)
    for told in overview(index):
        assert told.judgement == judge(index.series(told.suite, told.id))
        assert told.first_seen == index.series(told.suite, told.id)[0].run
    assert {each.id for each in overview(index)} >= {
        test for test in index.tests("fifo") if judge(index.series("fifo", test)).failing
    }
    for number in (3, 60, 89):
        now = index.run(f"run{number}")
        assert now is not None
        base = run_before(index, now.head)
        assert base is not None
        every = {test: index.series("fifo", test) for test in index.tests("fifo")}
        found = compare(now, base, series_for(index, now.head, base.head))
        assert changes(found) == changes(compare(now, base, every))


def test_what_the_newest_run_of_the_suite_does_not_have_is_no_concern() -> None:
    index = Index()
    index.put("j", run(1, [outcome("F", "gone"), outcome("F", "stays")]))
    index.put("j", run(2, [outcome("F", "stays")]))
    assert [found.id for found in overview(index)] == ["stays"]
    index.put("j", run(3, [outcome("F", "other")], partial=True))  # a rerun, after which `stays` is not gone
    assert {found.id for found in overview(index)} == {"stays", "other"}
    assert [found.id for found in histories(index, "gone")] == ["gone"]


def test_each_suite_has_a_newest_run_of_its_own() -> None:
    index = Index()
    index.put("j", run(1, [outcome("F", "t")], suite="a"))
    index.put("j", run(2, [outcome("F", "t"), outcome("P", "u")], suite="b"))
    assert [(found.suite, found.id) for found in overview(index)] == [("b", "t"), ("a", "t")]
    assert [(found.suite, found.id) for found in histories(index, "t")] == [("b", "t"), ("a", "t")]
    assert [found.id for found in histories(index, "[tu]")] == ["t", "u", "t"]


def test_an_id_goes_before_a_test_of_one_seed_and_that_before_a_pattern() -> None:
    index = Index()
    index.put("j", run(1, [outcome("P", "a[1]"), outcome("P", "a1"), outcome("P", "s", 7), outcome("P", "s", 8)]))
    assert [found.id for found in histories(index, "a[1]")] == ["a[1]"]
    assert [found.id for found in histories(index, "a?")] == ["a1"]
    (one,) = histories(index, "s.seed=7")
    assert (one.id, [each.seed for each in one.entries[0].outcomes]) == ("s.seed=7", [7])
    (test,) = histories(index, "s")
    assert [each.seed for each in test.entries[0].outcomes] == [7, 8]
    for nothing in ("s.seed=9", "b", "s.seed=", "s.seed=99999999999999999999999"):
        assert histories(index, nothing) == []


def test_the_run_before_is_the_newest_one_of_all_jobs_of_the_same_file() -> None:
    index = Index()
    different: list[dict[str, Any]] = [{}, {}, {"suite": "other"}, {"partial": True}, {}]
    for number, fields in enumerate(different):
        index.put("j", run(number, [], **fields))
    assert run_before(index, head(4)) == run(1, [])
    assert run_before(index, head(0)) is None
    assert run_before(index, head(2, suite="other")) is None
    only_partial = Index()
    only_partial.put("j", run(1, [], partial=True))
    assert run_before(only_partial, head(2)) == run(1, [], partial=True)
