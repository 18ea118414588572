from __future__ import annotations

import pytest

from runtime.backend.batch.array_index import ArrayIndex
from runtime.backend.batch.system import Phase, Row, State


def row(name: str, array: str, index: int | None, phase: Phase) -> Row:
    return Row(name, array, index, State(phase), phase.name)


@pytest.fixture
def array_index() -> ArrayIndex:
    array_index = ArrayIndex()
    array_index.put("one", ["a", "b"])
    array_index.put("two", ["c"])
    return array_index


def test_rows_are_read_by_name_and_index(array_index: ArrayIndex) -> None:
    seen = array_index.read([row("one", "7", 1, Phase.RUNNING), row("two", "8", 0, Phase.ENDED)])
    assert {token: observation.row.state.phase for token, observation in seen.items()} == {
        "b": Phase.RUNNING,
        "c": Phase.ENDED,
    }
    assert seen["b"].alive == [("7", 1)]
    assert seen["c"].alive == []


def test_a_stranger_s_row_is_passed_over_whatever_its_id(array_index: ArrayIndex) -> None:
    array_index.read([row("one", "7", 0, Phase.RUNNING)])
    assert array_index.read([row("stranger", "7", 0, Phase.RUNNING), row("one", "7", 2, Phase.RUNNING)]) == {}


def test_a_row_of_the_rest_is_for_those_without_one_of_their_own(array_index: ArrayIndex) -> None:
    seen = array_index.read([row("one", "7", None, Phase.ENDED), row("one", "7", 0, Phase.RUNNING)])
    assert seen["a"].row.state.phase is Phase.RUNNING
    assert seen["b"].row.state.phase is Phase.ENDED


def test_a_job_in_two_arrays_is_as_alive_as_the_more_alive(array_index: ArrayIndex) -> None:
    array_index.put("again", ["b", "a"])
    rows = [row("one", "7", 0, Phase.ENDED), row("again", "9", 1, Phase.RUNNING), row("one", "8", 0, Phase.PENDING)]
    observation = array_index.read(rows)["a"]
    assert observation.row.state.phase is Phase.RUNNING
    assert sorted(observation.alive) == [("8", 0), ("9", 1)]


def test_what_is_coming_to_its_end_is_alive_but_need_not_be_ended(array_index: ArrayIndex) -> None:
    assert array_index.read([row("two", "8", 0, Phase.ENDING)])["c"].alive == []


def test_arrays_are_forgotten_with_their_last_job_unless_in_doubt(array_index: ArrayIndex) -> None:
    array_index.put("doubt", ["d"]).doubtful_until = 50
    array_index.keep({"b"}, now=0)
    assert array_index.names() == ["one", "doubt"]
    array_index.keep({}, now=50)
    assert array_index.names() == []


def test_a_job_is_found_with_its_index(array_index: ArrayIndex) -> None:
    array_index.read([row("one", "7", 0, Phase.RUNNING)])
    assert array_index.find("b") == ("one", "7", 1)
    assert array_index.find("c") == ("two", "", 0)
    with pytest.raises(LookupError):
        array_index.find("z")
