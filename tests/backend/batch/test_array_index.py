from __future__ import annotations

import pytest

from runtime.backend.batch.array_index import ArrayIndex
from runtime.backend.batch.system import Phase, Row, State


def row(name: str, array: str, index: int | None, phase: Phase) -> Row:
    return Row(name, array, index, State(phase), phase.name)


@pytest.fixture
def board() -> ArrayIndex:
    board = ArrayIndex()
    board.put("one", ["a", "b"])
    board.put("two", ["c"])
    return board


def test_rows_are_read_by_name_and_index(board: ArrayIndex) -> None:
    seen = board.read([row("one", "7", 1, Phase.RUNNING), row("two", "8", 0, Phase.ENDED)])
    assert {token: sighting.row.state.phase for token, sighting in seen.items()} == {
        "b": Phase.RUNNING,
        "c": Phase.ENDED,
    }
    assert seen["b"].alive == [("7", 1)]
    assert seen["c"].alive == []


def test_a_stranger_s_row_is_passed_over_whatever_its_id(board: ArrayIndex) -> None:
    board.read([row("one", "7", 0, Phase.RUNNING)])
    assert board.read([row("stranger", "7", 0, Phase.RUNNING), row("one", "7", 2, Phase.RUNNING)]) == {}


def test_a_row_of_the_rest_is_for_those_without_one_of_their_own(board: ArrayIndex) -> None:
    seen = board.read([row("one", "7", None, Phase.ENDED), row("one", "7", 0, Phase.RUNNING)])
    assert seen["a"].row.state.phase is Phase.RUNNING
    assert seen["b"].row.state.phase is Phase.ENDED


def test_a_job_in_two_arrays_is_as_alive_as_the_more_alive(board: ArrayIndex) -> None:
    board.put("again", ["b", "a"])
    rows = [row("one", "7", 0, Phase.ENDED), row("again", "9", 1, Phase.RUNNING), row("one", "8", 0, Phase.PENDING)]
    sighting = board.read(rows)["a"]
    assert sighting.row.state.phase is Phase.RUNNING
    assert sorted(sighting.alive) == [("8", 0), ("9", 1)]


def test_what_is_coming_to_its_end_is_alive_but_need_not_be_ended(board: ArrayIndex) -> None:
    assert board.read([row("two", "8", 0, Phase.ENDING)])["c"].alive == []


def test_arrays_are_forgotten_with_their_last_job_unless_in_doubt(board: ArrayIndex) -> None:
    board.put("doubt", ["d"]).doubtful_until = 50
    board.keep({"b"}, now=0)
    assert board.names() == ["one", "doubt"]
    board.keep({}, now=50)
    assert board.names() == []


def test_a_job_is_found_with_its_index(board: ArrayIndex) -> None:
    board.read([row("one", "7", 0, Phase.RUNNING)])
    assert board.find("b") == ("one", "7", 1)
    assert board.find("c") == ("two", "", 0)
    with pytest.raises(LookupError):
        board.find("z")
