"""How long may Python's `re` search one line? A search holds the interpreter, and cannot be stopped.

`re` tries one way after the other, and how many ways there are can be read from a pattern's tree: one that is not
anchored may begin anywhere; each repetition of variable length may end anywhere; each branch is two ways or more. That
is a polynomial of the line's length, unless something variable is repeated: then it is none, and such a pattern is for
a process that can be killed.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable
from typing import Any, Final

import attrs

from runtime.verdict.translate import parse

_HARMLESS: Final = 1_000_000
"""Steps of one search: some milliseconds, which is how long one thread of Python keeps another waiting anyway."""

_MAX_WIDTH: Final = 1000
"""Bytes that a pattern may want at least: the price of one way. Arbitrary."""


class _UnboundedError(Exception):
    """No polynomial bounds the number of ways."""


@attrs.frozen
class _Ways:
    """How many ways there are through a piece of a pattern, at most: ``factor * length ** degree``."""

    factor: float = 1
    degree: int = 0

    def __mul__(self, other: _Ways) -> _Ways:
        return _Ways(self.factor * other.factor, self.degree + other.degree)

    def __add__(self, other: _Ways) -> _Ways:
        return _Ways(self.factor + other.factor, max(self.degree, other.degree))


@functools.lru_cache(maxsize=4096)
def harmless_length(pattern: re.Pattern[bytes]) -> int:
    """Return up to which length of a line a search by `re` is surely short, in bytes; -1 if there is none."""
    tree = parse(pattern.pattern)
    if tree is None or tree.getwidth()[0] > _MAX_WIDTH:
        return -1
    items = list(tree)
    try:
        ways = _sequence(items)
    except _UnboundedError:
        return -1
    anchored = bool(items) and str(items[0][1]) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}
    degree = max(ways.degree, 1) if anchored else ways.degree + 1  # an anchored search looks at each place, too
    return int((_HARMLESS / max(ways.factor, 1)) ** (1 / degree)) or -1


def _sequence(items: Iterable[tuple[Any, Any]]) -> _Ways:
    return math.prod((_item(str(op), value) for op, value in items), start=_Ways())


def _item(op: str, value: Any) -> _Ways:
    match op:
        case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY" | "AT" | "FAILURE":
            return _Ways()
        case "BRANCH":
            return sum((_sequence(branch) for branch in value[1]), start=_Ways(0))
        case "SUBPATTERN":
            return _sequence(value[3])
        case "ASSERT" | "ASSERT_NOT":
            return _sequence(value[1])
        case "GROUPREF":
            return _Ways(1, 1)  # it is compared byte by byte
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return _repeat(*value)
        case _:
            raise _UnboundedError


def _repeat(low: int, high: int, items: Any) -> _Ways:
    inner = _sequence(items)
    if high <= 1:
        return _Ways(inner.factor + 1, inner.degree)
    if inner != _Ways():
        raise _UnboundedError
    return _Ways() if low == high else _Ways(1, 1)
