r"""`translate`: a pattern of Python's `re` as one that means the same to RE2, for the lines of a block.

The two syntaxes look alike and differ in many details: ``\s`` and the vertical tab, ``\Z``, ``$`` before a last ``\n``,
octal escapes, case above 0x7F, ``[[:alpha:]]``. So the text of a pattern is never passed on. Python's own parser reads
it, and from the parse tree a pattern of basic elements is written: classes as explicit ranges of bytes, none of which
contains ``\n`` (so no match leaves its line), ``^`` for each beginning, ``$`` for each end. A pattern that has no such
form (lookaround, backreferences, atomic groups, ``\B``, anything that a later Python adds) is not translated; Python's
`re` searches it.
"""

from __future__ import annotations

import functools
import importlib
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

import attrs

TIME_GROUPS: Final = ("value", "unit")
"""The groups whose text is read; all others are written as groups that do not capture."""

UNBOUNDED: Final = 2**32 - 1
"""The upper bound of a repetition from which on the parser means that there is none."""

_MAX_REPEAT: Final = 1000
"""The largest bound of a repetition that RE2 accepts."""

_ALL: Final = frozenset(range(256))
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": frozenset(string.digits.encode()),
    "CATEGORY_SPACE": frozenset(b" \t\n\r\f\v"),
    "CATEGORY_WORD": frozenset((string.ascii_letters + string.digits + "_").encode()),
}
_AT: Final = {
    "AT_BEGINNING": "^",
    "AT_BEGINNING_STRING": "^",
    "AT_END": "$",
    "AT_END_STRING": "$",
    "AT_BOUNDARY": r"\b",
}
_BEGINNINGS: Final = ("AT_BEGINNING", "AT_BEGINNING_STRING")


class _UntranslatableError(Exception):
    """No pattern of RE2 certainly means the same."""


@attrs.frozen(cache_hash=True)  # it is a key of caches
class Translation:
    """A pattern for RE2, with the flag ``m`` set and Latin-1 as encoding."""

    anchored: bool
    """Whether it matches at the beginning of a line only; `body` is then without the leading ``^``."""
    body: str
    """The pattern without groups that capture."""
    with_groups: str
    """The whole pattern, with the groups of `TIME_GROUPS`, and with its leading ``^``."""


Node = tuple[object, Any]
"""A node of a parse tree: what it is, whose text says that, and its value, the form of which depends on that.

The value is Python's own, which has no types for it: a number, a sequence of nodes, or a tuple of both."""


class ParseTree(Protocol):
    """A parse tree of `re`, whose class is private to Python."""

    def __iter__(self) -> Iterator[Node]: ...  # by its `__getitem__`

    def getwidth(self) -> tuple[int, int]:
        """Return the fewest and the most bytes that match."""
        ...


@functools.lru_cache(maxsize=4096)
def parse(pattern: bytes) -> ParseTree | None:
    """Return the parse tree of a pattern; `None` if this version of Python has no ``re._parser``."""
    try:
        # Private to Python, and the only parser that reads every pattern as `re` does.
        tree: ParseTree = importlib.import_module("re._parser").parse(pattern)
    except (ImportError, AttributeError):
        return None
    return tree


@functools.lru_cache(maxsize=4096)
def translate(pattern: re.Pattern[bytes]) -> Translation | None:
    """Return the pattern of RE2 that means the same; `None` if none certainly does."""
    tree = parse(pattern.pattern)
    if tree is None or pattern.flags & re.LOCALE:
        return None
    folded = bool(pattern.flags & re.IGNORECASE)
    names = {number: name for name, number in pattern.groupindex.items() if name in TIME_GROUPS}
    try:
        items = list(tree)
        anchored = bool(items) and str(items[0][0]) == "AT" and str(items[0][1]) in _BEGINNINGS
        body = _Writer({}).sequence(items[1:] if anchored else items, folded)
        return Translation(anchored, body, _Writer(names).sequence(items, folded))
    except _UntranslatableError:
        return None


class _Writer:
    """Writes a parse tree as a pattern of RE2.

    Args:
        names: the names of the groups that capture, by number.
    """

    def __init__(self, names: dict[int, str]) -> None:
        self._names = names

    def sequence(self, items: Iterable[Node], folded: bool) -> str:
        """Return a sequence of nodes as text.

        Args:
            items: nodes of the tree.
            folded: whether upper and lower case match each other.
        """
        return "".join(self._item(node, folded) for node in items)

    def _item(self, node: Node, folded: bool) -> str:
        op, value = str(node[0]), node[1]
        if op in {"LITERAL", "NOT_LITERAL", "IN", "ANY"}:
            return _write_class(_members(node, folded))
        if op == "BRANCH":
            return f"(?:{'|'.join(self.sequence(branch, folded) for branch in value[1])})"
        if op == "SUBPATTERN":
            number, add, remove, items = value
            if (add | remove) & re.LOCALE:
                raise _UntranslatableError
            inner = self.sequence(items, bool((re.IGNORECASE * folded | add) & ~remove & re.IGNORECASE))
            return f"(?P<{self._names[number]}>{inner})" if number in self._names else f"(?:{inner})"
        if op in {"MAX_REPEAT", "MIN_REPEAT"}:
            return self._repeat(node, folded)
        if op == "AT" and str(value) in _AT:
            return _AT[str(value)]
        raise _UntranslatableError

    def _repeat(self, node: Node, folded: bool) -> str:
        op, (low, high, items) = node
        if low > _MAX_REPEAT or _MAX_REPEAT < high < UNBOUNDED:
            raise _UntranslatableError
        if high > 1 and items.getwidth()[0] == 0 and self._names:
            raise _UntranslatableError  # after an empty iteration, the two engines differ in what a group holds
        upper = "" if high >= UNBOUNDED else str(int(high))
        lazy = "?" if str(op) == "MIN_REPEAT" else ""
        return f"(?:{self.sequence(items, folded)}){{{int(low)},{upper}}}{lazy}"


def _members(node: Node, folded: bool) -> frozenset[int]:
    r"""Return the bytes that a node for one byte matches, without ``\n``."""
    op, value = str(node[0]), node[1]
    if op == "ANY":
        found = _ALL
    elif op == "IN":
        found = _set_members(value, folded)
    else:
        found = _fold({value}) if folded else frozenset({value})
        found = _ALL - found if op == "NOT_LITERAL" else found
    return found - {10}


def _set_members(items: Sequence[Node], folded: bool) -> frozenset[int]:
    members: set[int] = set()
    negated = False
    for op, value in items:
        match str(op):
            case "NEGATE":
                negated = True
            case "LITERAL":
                members.add(value)
            case "RANGE":
                members.update(range(value[0], value[1] + 1))
            case "CATEGORY":
                name = str(value)
                positive = _CATEGORIES.get(name.replace("_NOT_", "_"))
                if positive is None:
                    raise _UntranslatableError
                members |= _ALL - positive if "_NOT_" in name else positive
            case _:
                raise _UntranslatableError
    found = _fold(members) if folded else frozenset(members)
    return _ALL - found if negated else found


def _fold(members: Iterable[int]) -> frozenset[int]:
    """Return `members` and the other case of each ASCII letter among them, as `re` does for bytes."""
    text = bytes(members)
    return frozenset(text + text.lower() + text.upper())


def _write_class(members: frozenset[int]) -> str:
    if not members:
        return r"[^\x00-\xff]"  # RE2 has no empty class
    ranges: list[list[int]] = []
    for member in sorted(members):
        if ranges and ranges[-1][1] == member - 1:
            ranges[-1][1] = member
        else:
            ranges.append([member, member])
    if len(members) == 1:
        return f"\\x{ranges[0][0]:02x}"
    return "[" + "".join(f"\\x{low:02x}-\\x{high:02x}" for low, high in ranges) + "]"
