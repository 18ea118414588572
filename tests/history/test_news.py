from __future__ import annotations

import pytest

from runtime.history.index import Index
from runtime.history.news import news_of
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
