"""`Engine`: the interface between `LogJudge` and what finds the lines that match.

A `LogJudge` gives its engine one *block* of lines after the other. RE2 over the whole block (`linear`), Python's `re`
in a process that can be killed when a pattern takes too long (`worker`), and the choice between them (`combined`) are
classes with the two methods of `Engine`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

import attrs

from runtime.verdict.lines import Block
from runtime.verdict.python_search import search


@attrs.frozen
class Hit:
    """A line that a pattern matches."""

    pattern: int
    """Index of the pattern in the sequence that the engine was made with."""
    line: int
    """Index of the line in the block, from 0."""
    value: bytes | None = None
    """What the group ``value`` matched, if the pattern has one."""
    unit: bytes | None = None
    """What the group ``unit`` matched, if the pattern has one."""


class Engine(Protocol):
    """Finds lines that match. Made with a sequence of compiled patterns, into which `Hit.pattern` is an index."""

    def scan(self, block: Block, first: Collection[int], last: Collection[int]) -> Iterable[Hit]:
        """Return, for the patterns in `first`, the first line that each matches, and for those in `last` the last one.

        Args:
            block: the lines to search.
            first: indexes of the patterns whose first hit to find.
            last: indexes of the patterns whose last hit to find.
        """
        ...

    def close(self) -> None:
        """Release what it holds. `scan` must not be called after it."""
        ...


class PythonEngine:
    """Python's `re`, pattern by pattern, line by line: linear in the lines; within a line the pattern decides."""

    def __init__(self, patterns: Sequence[re.Pattern[bytes]]) -> None:
        self._patterns = tuple(patterns)

    def scan(self, block: Block, first: Collection[int], last: Collection[int]) -> Iterator[Hit]:
        """See `Engine.scan`."""
        for found in search(self._patterns, block.lines, first, last):
            if found[1] >= 0:
                yield Hit(*found)

    def close(self) -> None:
        """See `Engine.close`."""
