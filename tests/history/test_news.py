"""What earlier runs tell of a run."""

from __future__ import annotations

import pytest

from runtime.history.index import Index
from runtime.history.news import news_of
from runtime.history.outcomes import RememberedRun
from runtime.report.news import History
from tests.history.runs import head, outcome, run


@pytest.mark.parametrize("rounded", [1.9999999, 2.0, 2.0000001])
def test_a_run_is_not_compared_with_itself_as_the_index_has_it(rounded: float) -> None:
    index = Index(None)
    try:
        index.put("first", run(1, [outcome("P")]))
        index.put("itself", run(2, [outcome("F")], began=rounded))
        news = news_of(run(2, [outcome("F")]), None, index)
    finally:
        index.close()
    assert news.compared_with == "run1"
    assert [(change.title, [job.name for job in change.jobs]) for change in news.changes if change.jobs] == [
        ("newly failing", ["t"])
    ]
    assert news.new_messages == {"it failed"}
    assert [name for name, _ in news.runs] == ["run1", "run2"]


def test_the_first_run_is_compared_with_none() -> None:
    index = Index(None)
    try:
        index.put("itself", run(2, [outcome("F")], began=1.9999999))
        news = news_of(run(2, [outcome("F")]), None, index)
    finally:
        index.close()
    assert (news.compared_with, news.changes, news.new_messages) == (None, (), frozenset())
    assert head(2).name == news.runs[0][0]


def news(*runs: RememberedRun) -> History:
    """What the runs before tell of the last one."""
    index = Index()
    for number, each in enumerate(runs):
        index.put(str(number), each)
    return news_of(runs[-1], None, index)


def notes(history: History) -> dict[str, dict[str, str]]:
    return {change.title: {job.name: job.note for job in change.jobs} for change in history.changes if change.jobs}


def test_of_a_failure_it_is_told_how_many_jobs_and_for_how_long() -> None:
    first = run(1, [outcome("F", "b"), outcome("P", "f", flaky=True), outcome("P", "s", 1), outcome("P", "s", 2)])
    second = run(2, [outcome("F", "b"), outcome("F", "f"), outcome("P", "s", 3), outcome("F", "s", 4)])
    found = notes(news(first, second))
    assert found["newly failing"] == {"f": "flaky", "s": "1 of 2 jobs"}
    assert found["still failing"] == {"b": "never passed, failing for 2 runs, since run1"}
    assert found["flaky"] == {"f": "passed after a failure in run1"}


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (None, None, ""),
        ("a" * 40, "b" * 40, f"then revision {'a' * 12}, now revision {'b' * 12}"),
        ("a" * 40, None, f"then revision {'a' * 12}, now revision unknown"),
        ("a" * 40, "a" * 40, f"both of revision {'a' * 12}"),
    ],
)
def test_the_revisions_say_where_to_look(then: str | None, now: str | None, told: str) -> None:
    runs = (run(number, [outcome("P")], revision=each, is_clean=True) for number, each in enumerate((then, now)))
    assert news(*runs).revisions == told
