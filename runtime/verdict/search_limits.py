"""`harmless_length`: how long a line may be for Python's `re` to search it in this process.

A search holds the interpreter and cannot be stopped. `re` backtracks, and the parse tree of a pattern bounds the number
of ways that it tries: a pattern that is not anchored may begin anywhere; a repetition of variable length may end
anywhere; a branch adds a way for each alternative. That is a polynomial in the length of the line, unless something of
variable length is repeated. Then the number may be exponential, and the pattern needs a process that can be killed.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable
from typing import Final

import attrs

from runtime.verdict.translate import Node, parse

_HARMLESS: Final = 1_000_000
"""Steps of one search: some milliseconds, as long as one thread of Python makes another wait anyway. Ten times more,
and the event loop would stall visibly; ten times less, and usual patterns would need a worker."""

_MAX_WIDTH: Final = 1000
"""Bytes of the shortest text that a pattern may match, which bound the cost of trying one way. Arbitrary: ten times
more makes that bound useless; ten times less, and long literal patterns would need a worker."""


class _UnboundedError(Exception):
    """No polynomial bounds the number of ways."""


@attrs.frozen
class _Ways:
    """The number of ways through a part of a pattern, at most: ``factor * length ** degree``."""

    factor: float = 1
    degree: int = 0

    def __mul__(self, other: _Ways) -> _Ways:
        return _Ways(self.factor * other.factor, self.degree + other.degree)

    def __add__(self, other: _Ways) -> _Ways:
        return _Ways(self.factor + other.factor, max(self.degree, other.degree))


@functools.lru_cache(maxsize=4096)
def harmless_length(pattern: re.Pattern[bytes]) -> int:
    """Return the length of the longest line, in bytes, that `re` certainly searches fast; -1 if there is none."""
    tree = parse(pattern.pattern)
    if tree is None or tree.getwidth()[0] > _MAX_WIDTH:
        return -1
    items = list(tree)
    try:
        ways = _sequence(items)
    except _UnboundedError:
        return -1
    anchored = bool(items) and str(items[0][1]) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}
    # `re` does not stop after the first failure of an anchored pattern: it tries each position, where ``^`` fails.
    degree = max(ways.degree, 1) if anchored else ways.degree + 1
    return int((_HARMLESS / max(ways.factor, 1)) ** (1 / degree)) or -1


def _sequence(items: Iterable[Node]) -> _Ways:
    return math.prod(map(_item, items), start=_Ways())


def _item(node: Node) -> _Ways:
    op, value = node
    match str(op):
        case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY" | "AT" | "FAILURE":
            return _Ways()
        case "BRANCH":
            return sum((_sequence(branch) for branch in value[1]), start=_Ways(0))
        case "SUBPATTERN":
            return _sequence(value[3])
        case "ASSERT" | "ASSERT_NOT":
            return _sequence(value[1])
        case "GROUPREF":
            return _Ways(1, 1)  # one way, but comparing it costs a step for each byte
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return _repeat(*value)
        case _:
            raise _UnboundedError


def _repeat(low: int, high: int, items: Iterable[Node]) -> _Ways:
    inner = _sequence(items)
    if high <= 1:
        return _Ways(inner.factor + 1, inner.degree)  # one more: without it
    if inner != _Ways():  # such as (a+)+: the ways multiply with each repetition
        raise _UnboundedError
    return _Ways() if low == high else _Ways(1, 1)
