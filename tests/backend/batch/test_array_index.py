from __future__ import annotations

import pytest

from runtime.backend.batch.array_index import ArrayIndex
from runtime.backend.batch.system import Phase, QueueRow, State


def row(name: str, array: str, index: int | None, phase: Phase) -> QueueRow:
    return QueueRow(name, array, index, State(phase), phase.name)


@pytest.fixture
def arrays() -> ArrayIndex:
    arrays = ArrayIndex()
    arrays.put("one", ["a", "b"])
    arrays.put("two", ["c"])
    return arrays


def test_rows_are_read_by_name_and_index(arrays: ArrayIndex) -> None:
    seen = arrays.read([row("one", "7", 1, Phase.RUNNING), row("two", "8", 0, Phase.ENDED)])
    assert {token: observation.row.state.phase for token, observation in seen.items()} == {
        "b": Phase.RUNNING,
        "c": Phase.ENDED,
    }
    assert seen["b"].alive == [("7", 1)]
    assert seen["c"].alive == []


def test_a_stranger_s_row_is_passed_over_whatever_its_id(arrays: ArrayIndex) -> None:
    arrays.read([row("one", "7", 0, Phase.RUNNING)])
    assert arrays.read([row("stranger", "7", 0, Phase.RUNNING), row("one", "7", 2, Phase.RUNNING)]) == {}


def test_a_row_of_the_rest_is_for_those_without_one_of_their_own(arrays: ArrayIndex) -> None:
    seen = arrays.read([row("one", "7", None, Phase.ENDED), row("one", "7", 0, Phase.RUNNING)])
    assert seen["a"].row.state.phase is Phase.RUNNING
    assert seen["b"].row.state.phase is Phase.ENDED


def test_a_job_in_two_arrays_is_as_alive_as_the_more_alive(arrays: ArrayIndex) -> None:
    arrays.put("again", ["b", "a"])
    rows = [row("one", "7", 0, Phase.ENDED), row("again", "9", 1, Phase.RUNNING), row("one", "8", 0, Phase.PENDING)]
    observation = arrays.read(rows)["a"]
    assert observation.row.state.phase is Phase.RUNNING
    assert sorted(observation.alive) == [("8", 0), ("9", 1)]


def test_what_is_coming_to_its_end_is_alive_but_need_not_be_ended(arrays: ArrayIndex) -> None:
    assert arrays.read([row("two", "8", 0, Phase.ENDING)])["c"].alive == []


def test_arrays_are_forgotten_with_their_last_job_unless_in_doubt(arrays: ArrayIndex) -> None:
    arrays.put("doubt", ["d"]).doubtful_until = 50
    arrays.keep({"b"}, now=0)
    assert arrays.names() == ["one", "doubt"]
    arrays.keep({}, now=50)
    assert arrays.names() == []


def test_an_array_has_an_id_once_a_listing_has_it(arrays: ArrayIndex) -> None:
    assert arrays.id_of("one") == ""
    arrays.read([row("one", "7", 0, Phase.RUNNING)])
    assert [arrays.id_of(name) for name in ("one", "two", "unknown")] == ["7", "", ""]
