"""A column is written shortly, and read as it was."""

from __future__ import annotations

import math

import pytest

from runtime.job import FailureKind, JobStatus
from runtime.journal.columns import (
    ENDS,
    INTEGERS,
    KINDS,
    LINES,
    LISTS_OF_TEXTS,
    MOVES,
    NUMBERS,
    TEXTS,
    TIMES,
    Codec,
    Repeated,
    or_none,
    runs,
)

PASSED, FAILED, RUNNING = JobStatus.PASSED, JobStatus.FAILED, JobStatus.RUNNING

WRITTEN: list[tuple[Codec, list[object], object]] = [
    (INTEGERS, [1, 2], [1, 2]),
    (INTEGERS, [7, 7, 7], 7),
    (INTEGERS, [7], 7),
    (INTEGERS, [], []),
    (INTEGERS, [1, 2, 1], [1, 2, 1]),
    (or_none(INTEGERS), [None, None], None),
    (or_none(INTEGERS), [None, 0], [None, 0]),
    (TEXTS, ["a", "b"], ["a", "b"]),
    (TEXTS, ["", ""], ""),
    (TIMES, [1.5, 0.000001], [1500000, 1]),
    (or_none(TIMES), [None, 2.0], [None, 2000000]),
    (NUMBERS, [0.1, 1e-12], [0.1, 1e-12]),
    (MOVES, [RUNNING, JobStatus.QUEUED], ["R", "Q"]),
    (ENDS, [PASSED] * 3, "P"),
    (ENDS, [PASSED, FAILED, JobStatus.KILLED], ["P", "F", "K"]),
    (KINDS, [None, FailureKind.TIMEOUT], [None, "timeout"]),
    (LINES, [(1, (2, 3)), None], [(1, (2, 3)), None]),
    (LINES, [(1,), (1,)], [(1,), (1,)]),
    (LISTS_OF_TEXTS, [("a",)], [("a",)]),
    (LISTS_OF_TEXTS, [None, None], None),
]


def as_read(value: object) -> object:
    """The lists that JSON makes of tuples."""
    return [as_read(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(("codec", "column", "written"), WRITTEN)
def test_a_column_is_written_and_read(codec: Codec, column: list[object], written: object) -> None:
    assert codec.column_to_json(column) == written
    assert codec.column_from_json(as_read(written), len(column)) == column


@pytest.mark.parametrize("value", [1, None])
def test_a_repeated_value_is_written_as_a_list_of_it_is(value: int | None) -> None:
    codec = or_none(INTEGERS)
    assert codec.column_to_json(Repeated(value, 3)) == codec.column_to_json([value] * 3)
    assert codec.column_to_json(Repeated(value, 0)) == []


def test_runs_of_equal_values_begin_where_one_differs_from_the_one_before_it() -> None:
    assert [*runs(["a", "a", ("b",), ("b",), "a", 1, 1.0])] == [(0, 2), (2, 4), (4, 5), (5, 7)]
    assert [*runs([None])] == [(0, 1)]
    assert [*runs([None] * 3)] == [(0, 3)]


WRONG: list[tuple[Codec, object, str]] = [
    (INTEGERS, [1], "1 values; expected 2"),
    (INTEGERS, [1, 2, 3], "3 values; expected 2"),
    (INTEGERS, [1, "a"], "a value of the class str; expected int"),
    (INTEGERS, [1, True], "a value of the class bool; expected int"),
    (INTEGERS, [1, None], "a value of the class NoneType; expected int"),
    (INTEGERS, None, "a value of the class NoneType; expected int"),
    (INTEGERS, 1.5, "a value of the class float; expected int"),
    (or_none(INTEGERS), {}, "a value of the class dict; expected int or nothing"),
    (ENDS, ["P", "R"], "the status 'R'; expected P or F or K"),
    (MOVES, "P", "the status 'P'; expected Q or R"),
    (LINES, "P", "a value of the class str; expected list or nothing"),
    (LINES, [[1], [[1, 2, 3]]], "a line that is neither a number nor a pair of numbers"),
    (LINES, [[1], ["1"]], "a line that is neither"),
    (LISTS_OF_TEXTS, [["a"], ["a", 1]], "texts that are not all texts"),
]


@pytest.mark.parametrize(("codec", "given", "complaint"), WRONG)
def test_what_is_no_column_is_named(codec: Codec, given: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        codec.column_from_json(given, 2)


@pytest.mark.parametrize("codec", [TIMES, NUMBERS])
def test_a_number_beyond_a_float_is_an_error(codec: Codec) -> None:
    with pytest.raises(OverflowError):
        codec.column_from_json([10**400, 1], 2)


def test_a_number_that_is_not_finite_does_not_prevent_the_others() -> None:
    assert TIMES.column_to_json([math.inf, 1.0, 1e305, 10**400]) == [0, 1000000, 0, 0]
    column = [math.inf, 1.0, math.nan]
    assert NUMBERS.column_to_json(column) == [None, 1.0, None]


def test_a_status_of_another_record_is_refused() -> None:
    with pytest.raises(ValueError, match="RUNNING"):
        ENDS.column_to_json([PASSED, RUNNING])


def test_a_kind_of_a_later_version_is_not_known() -> None:
    assert KINDS.column_from_json(["timeout", "cosmic_rays"], 2) == [FailureKind.TIMEOUT, None]


def test_a_repeated_value_is_a_sequence() -> None:
    column = Repeated("a", 3)
    assert (len(column), column[0], column[-1], list(column)) == (3, "a", "a", ["a", "a", "a"])
    assert column[1:] == ["a", "a"]
    assert column == ["a", "a", "a"]
    assert ["a", "a", "a"] == column  # noqa: SIM300 - the list is asked first
    assert column == Repeated("a", 3)
    assert column not in (["a", "a"], ["a", "a", "b"], Repeated("a", 2), 3)
    assert repr(column) == "Repeated('a', 3)"
    for index in (3, -4):
        with pytest.raises(IndexError):
            column[index]
    with pytest.raises(TypeError, match="unhashable"):
        hash(column)
