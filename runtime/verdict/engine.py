"""The seam between a verdict and whatever finds the lines that match.

A verdict asks an engine about one *block* after the other, and knows nothing else of it. So RE2 over the whole block
(`linear`), a process that can be killed when a pattern takes too long (`worker`), and the choice between them (`mixed`)
are classes with the two methods of `Engine`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

import attrs


@attrs.frozen
class Hit:
    """A line that a pattern matches."""

    pattern: int
    """Which pattern: its place in the sequence that the engine was made with."""
    line: int
    """Which line of the block, from 0."""
    value: bytes | None = None
    """What the group ``value`` matched, if the pattern has one."""
    unit: bytes | None = None
    """What the group ``unit`` matched, if the pattern has one."""


class Engine(Protocol):
    """Finds lines that match. Made with a sequence of compiled patterns, which `Hit.pattern` counts from 0."""

    def scan(self, block: bytes, first: Collection[int], last: Collection[int]) -> Iterable[Hit]:
        r"""Return, for the patterns in `first`, the first line that each matches, and for those in `last` the last one.

        Args:
            block: whole lines with ``\n`` between them, none at the end; carriage returns are stripped already.
            first: patterns whose first hit is wanted.
            last: patterns whose last hit is wanted.
        """
        ...

    def close(self) -> None:
        """Give back what it holds. No block may follow."""
        ...


class PythonEngine:
    """Python's `re`, each pattern alone, line by line: linear in the lines, and within one as good as the pattern."""

    def __init__(self, patterns: Sequence[re.Pattern[bytes]]) -> None:
        self._patterns = tuple(patterns)

    def scan(self, block: bytes, first: Collection[int], last: Collection[int]) -> Iterator[Hit]:
        """See `Engine.scan`."""
        lines = block.split(b"\n")
        for number in first:
            search = self._patterns[number].search
            for index, line in enumerate(lines):
                if (match := search(line)) is not None:
                    yield self._hit(number, index, match)
                    break
        for number in last:
            search = self._patterns[number].search
            for index in range(len(lines) - 1, -1, -1):
                if (match := search(lines[index])) is not None:
                    yield self._hit(number, index, match)
                    break

    def close(self) -> None:
        """See `Engine.close`."""

    def _hit(self, number: int, line: int, match: re.Match[bytes]) -> Hit:
        groups = match.groupdict()
        return Hit(number, line, groups.get("value"), groups.get("unit"))
