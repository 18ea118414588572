"""Columns: how the values that one field has for each job of a batch are written as JSON, and read. Pure.

A column in which all values are equal is written as that value alone, and one of nothing but `None` is left out. Values
that are lists themselves are never written alone: they could not be told from a column.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import ne
from typing import Any, Final, TypeVar, overload

import attrs

from runtime.errors import SpecError
from runtime.job.kinds import CustomKind, Kind
from runtime.job.status import FAILED, KILLED, PASSED, QUEUED, RUNNING, FailureKind, JobStatus

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

_MICRO: Final = 1e6
"""Times are written as whole microseconds: Python writes the 17 digits of a float in 0.9 µs, and an integer in 0.15."""


class Repeated(Sequence[_T_co]):
    """A sequence of one value, `count` times. It equals every sequence of the same values."""

    __slots__ = ("_count", "value")

    def __init__(self, value: _T_co, count: int) -> None:
        self.value: _T_co = value
        self._count = count

    def __repr__(self) -> str:
        return f"Repeated({self.value!r}, {self._count})"

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> _T_co: ...

    @overload
    def __getitem__(self, index: slice) -> Repeated[_T_co]: ...

    def __getitem__(self, index: int | slice) -> _T_co | Repeated[_T_co]:
        if isinstance(index, slice):
            return Repeated(self.value, len(range(self._count)[index]))
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self.value

    def __iter__(self) -> Iterator[_T_co]:
        return itertools.repeat(self.value, self._count)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(other) == self._count and all(each == self.value for each in other)

    def __hash__(self) -> int:
        msg = "unhashable type: 'Repeated'"  # as a list, which it may equal
        raise TypeError(msg)


def as_list(column: Sequence[_T]) -> list[_T]:
    """Return a column as a list, which must not be changed: a list itself, as a copy would touch each value."""
    return column if isinstance(column, list) else list(column)


def runs(values: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Yield where each run of equal values begins, and where it ends. There is at least one value."""
    # The interpreter finds the changes without a loop of ours.
    changes = itertools.compress(range(1, len(values)), map(ne, values, values[1:]))
    return itertools.pairwise((0, *changes, len(values)))


@attrs.frozen
class Codec:
    """How the values of one kind are written and read. `write` and `read` take and return those of many jobs."""

    types: frozenset[type]
    """The classes that a value has when it is read from JSON."""
    write: Callable[[Sequence[Any]], Sequence[object]] | None = None  # `Any`: each codec has its own class of values
    """Values to JSON; `None` if they are JSON already."""
    read: Callable[[Sequence[Any]], Sequence[object]] | None = None
    """JSON, of the right classes, to values; raises `ValueError` or `OverflowError` if there is no such value."""
    is_nested: bool = False
    """Whether values are lists themselves."""

    def column_to_json(self, column: Sequence[object]) -> object:
        """Return a column as JSON; `None` if it is left out."""
        same = column.__class__ is Repeated or (
            bool(column) and column[-1] == column[0] and column.count(column[0]) == len(column)
        )
        if not same or not column:
            return self._written(column)
        if column[0] is None:
            return None
        return self._written(column) if self.is_nested else self.value_to_json(column[0])

    def column_from_json(self, given: object, count: int) -> Sequence[object]:
        """Return the column of `count` values that `column_to_json` has written.

        Raises:
            ValueError, OverflowError: if it is none.
        """
        if not isinstance(given, list):
            return Repeated(self.value_from_json(given), count)
        if len(given) != count:
            msg = f"{len(given)} values; expected {count}"
            raise ValueError(msg)
        if not self.types.issuperset(map(type, given)):
            raise ValueError(self._complaint(next(each for each in given if type(each) not in self.types)))
        return given if self.read is None else self.read(given)

    def value_to_json(self, value: object) -> object:
        """Return one value as JSON."""
        return self._written([value])[0]

    def value_from_json(self, given: object) -> object:
        """Return the value that `value_to_json` has written.

        Raises:
            ValueError, OverflowError: if it is none.
        """
        if type(given) not in self.types:
            raise ValueError(self._complaint(given))
        return given if self.read is None else self.read([given])[0]

    def _written(self, column: Sequence[object]) -> Sequence[object]:
        return as_list(column) if self.write is None else self.write(column)

    def _complaint(self, given: object) -> str:
        expected = sorted("nothing" if each is type(None) else each.__name__ for each in self.types)
        return f"a value of the class {type(given).__name__}; expected {' or '.join(expected)}"


def or_none(codec: Codec) -> Codec:
    """Return the codec of the same values and `None`."""
    return attrs.evolve(codec, types=codec.types | {type(None)})


def _write_times(column: Sequence[float | None]) -> list[int | None]:
    try:
        return [None if each is None else round(each * _MICRO) for each in column]
    except (OverflowError, ValueError):  # not finite, which no clock gives; the record must be written all the same
        return [None if each is None else microseconds(each) for each in column]


def microseconds(seconds: float) -> int:
    """Return seconds as whole microseconds, as they are written; 0 for a number that is not finite."""
    try:
        return round(seconds * _MICRO)
    except (OverflowError, ValueError):
        return 0


def _read_times(column: Sequence[int | None]) -> list[float | None]:
    return [None if each is None else each / _MICRO for each in column]


def _write_numbers(column: Sequence[float | None]) -> list[float | None]:
    return [each if each is not None and math.isfinite(each) else None for each in column]


def _read_numbers(column: Sequence[float | None]) -> list[float | None]:
    return [None if each is None else float(each) for each in column]


def _statuses(*statuses: JobStatus) -> Codec:
    """Return the codec of these statuses, each of which is written as its letter."""
    letters = {status: status.shorthand for status in statuses}
    values = {letter: status for status, letter in letters.items()}

    def translate(table: Mapping[Any, object], column: Sequence[object]) -> list[object]:
        try:
            return [table[each] for each in column]
        except KeyError as exc:
            msg = f"the status {exc}; expected {' or '.join(values)}"
            raise ValueError(msg) from None

    return Codec(frozenset({str}), partial(translate, letters), partial(translate, values))


_KINDS: Final[Mapping[object, FailureKind]] = {kind.value: kind for kind in FailureKind}


_CUSTOM: Final = "custom:"
"""What the name of a kind of one's own begins with, so that it is not taken for a kind that a later version adds."""


def _write_kinds(column: Sequence[Kind | None]) -> list[str | None]:
    return [f"{_CUSTOM}{each}" if isinstance(each, CustomKind) else each for each in column]


def _read_kinds(column: Sequence[str | None]) -> list[Kind | None]:
    return [_KINDS.get(each) or _custom(each) for each in column]


def _custom(text: str | None) -> CustomKind | None:
    """Return the kind of one's own of this text; `None` for any other, such as one that a later version has added."""
    if text is None or not text.startswith(_CUSTOM):
        return None
    try:
        return CustomKind(text.removeprefix(_CUSTOM))
    except SpecError:
        return None


def _read_lines(column: Sequence[list[object] | None]) -> list[Sequence[int | tuple[int, int]] | None]:
    return [None if lines is None else tuple(_read_line(line) for line in lines) for lines in column]


def _read_line(line: object) -> int | tuple[int, int]:
    if type(line) is int:
        return line
    if isinstance(line, list) and [type(each) for each in line] == [int, int]:
        return line[0], line[1]
    msg = "a line that is neither a number nor a pair of numbers"
    raise ValueError(msg)


def _read_texts(column: Sequence[list[object] | None]) -> list[Sequence[str] | None]:
    return [None if texts is None else _texts(texts) for texts in column]


def _read_words(column: Sequence[str | list[object] | None]) -> list[str | Sequence[str] | None]:
    return [_texts(each) if isinstance(each, list) else each for each in column]


def _texts(texts: list[object]) -> tuple[str, ...]:
    strings = tuple(text for text in texts if isinstance(text, str))
    if len(strings) < len(texts):
        msg = "texts that are not all texts"
        raise ValueError(msg)
    return strings


def _read_counted(values: Sequence[list[object] | None]) -> list[tuple[tuple[int, dict[str, object]], ...] | None]:
    return [None if each is None else tuple(map(_read_count, each)) for each in values]


def _read_count(pair: object) -> tuple[int, dict[str, object]]:
    if isinstance(pair, list) and [type(each) for each in pair] == [int, dict]:
        return pair[0], pair[1]
    msg = "something that is no count and its table"
    raise ValueError(msg)


INTEGERS: Final = Codec(frozenset({int}))
FLAGS: Final = or_none(Codec(frozenset({bool})))
TEXTS: Final = Codec(frozenset({str}))
TIMES: Final = Codec(frozenset({int}), _write_times, _read_times)
"""Seconds, written as whole microseconds; one that is not finite is written as 0."""
NUMBERS: Final = or_none(Codec(frozenset({int, float}), _write_numbers, _read_numbers))
"""Floats or `None`; one that is not finite is written as `None`."""
MOVES: Final = _statuses(QUEUED, RUNNING)
"""The statuses of a job that is in flight."""
ENDS: Final = _statuses(PASSED, FAILED, KILLED)
"""The statuses of a job that has ended."""
KINDS: Final = or_none(Codec(frozenset({str}), _write_kinds, _read_kinds))
"""Kinds of failure or `None`; one that this version does not know is read as `None`."""
LINES: Final = or_none(Codec(frozenset({list}), None, _read_lines, is_nested=True))
"""Line numbers of a log, as in `JobStatusInfo`, or `None`; read as tuples."""
LISTS_OF_TEXTS: Final = or_none(Codec(frozenset({list}), None, _read_texts, is_nested=True))
"""Sequences of texts or `None`; read as tuples."""
WORDS: Final = or_none(Codec(frozenset({str, list}), None, _read_words, is_nested=True))
"""Texts, sequences of texts, or `None`; sequences are read as tuples."""
DETAILS: Final = Codec(frozenset({dict}), lambda column: [dict(each) for each in column])
"""Mappings with any JSON in them."""
COUNTED: Final = or_none(Codec(frozenset({list}), None, _read_counted, is_nested=True))
"""Sequences of pairs: a count, and a mapping with any JSON in it; or `None`. They are read as tuples."""
