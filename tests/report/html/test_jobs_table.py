from __future__ import annotations

from typing import Any

from runtime.job import FailureKind, JobUsage
from runtime.report.html.jobs_table import OUTCOMES
from runtime.report.html.numbers import NOT_KNOWN
from tests.report.html.page_text import RUN_DIR, Parsed, page_of
from tests.report.html.synthetic import records_of
from tests.report.results import result

K = FailureKind


def data_of(*results: Any) -> Any:
    records = records_of([each.job for each in results], [each.event for each in results], RUN_DIR)
    return Parsed(page_of(records)).data


def test_a_column_of_equal_values_is_that_value() -> None:
    columns = data_of(result("a", run_dir=RUN_DIR), result("b", run_dir=RUN_DIR))["columns"]
    assert columns["id"] == ["a", "b"]
    assert {
        name: columns[name] for name in ("outcome", "kind", "attempt", "began", "waited", "ran", "cpu", "peak")
    } == {
        "outcome": 0,
        "kind": 0,
        "attempt": 1,
        "began": 2000,
        "waited": 1000,
        "ran": 2500,
        "cpu": NOT_KNOWN,
        "peak": NOT_KNOWN,
    }


def test_texts_of_one_test_are_there_once() -> None:
    data = data_of(
        *(result(f"a.seed={seed}", K.EXIT_CODE, f"a.seed={seed} ends", run_dir=RUN_DIR) for seed in (1, 2, 3))
    )
    texts = data["texts"]
    assert (texts["log"][2:], texts["message"][2:], len(texts["command"][2:])) == (["\x02/job.log"], ["\x01 ends"], 1)
    assert data["bad"]["rows"] == [0, 1, 2]
    assert data["bad"]["bucket"] == 0


def test_each_failure_is_in_the_group_that_its_card_has() -> None:
    data = data_of(
        result("a"), result("b", K.LICENCE, "none"), result("c", K.EXIT_CODE, "x"), result("d", K.EXIT_CODE, "x")
    )
    assert data["groups"] == ["x", "none"]
    assert data["sizes"] == [2, 1]
    assert data["bad"]["bucket"] == [1, 0, 0]
    assert [data["outcomes"][each] for each in data["columns"]["outcome"]] == [
        "passed",
        "infrastructure",
        "failed",
        "failed",
    ]
    assert len(data["outcomes"]) == len(OUTCOMES)


def test_numbers_of_any_size_are_numbers_of_a_script() -> None:
    for large in (10**40, 10**400):
        columns = data_of(result("a", usage=JobUsage(1e300, large), attempt=large, run_dir=RUN_DIR))["columns"]
        assert columns["peak"] == columns["cpu"] == columns["attempt"] == 2**53
