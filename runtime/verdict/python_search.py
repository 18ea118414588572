"""Searches a block with Python's `re`, line by line. Imports next to nothing, as worker processes run it, too."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence


def search(
    patterns: Sequence[re.Pattern[bytes]], block: bytes, first: Collection[int], last: Collection[int]
) -> Iterator[tuple[int, int, bytes | None, bytes | None]]:
    """Yield for each pattern its number, the index of a line that it matches, and its groups ``value`` and ``unit``.

    The index is -1 if it matches no line. Each pattern is searched when the result of the one before was taken.

    Args:
        patterns: all patterns.
        block: as for `Engine.scan`.
        first: the numbers of those whose first line is searched.
        last: the numbers of those whose last line is searched; they come after all others.
    """
    # A search of the whole block would be faster, but ``\s`` and ``[^x]`` match ``\n``, and so would cross lines.
    lines = block.split(b"\n")
    for numbers, order in ((first, range(len(lines))), (last, range(len(lines) - 1, -1, -1))):
        for number in numbers:
            find = patterns[number].search
            for index in order:
                if (match := find(lines[index])) is not None:
                    groups = match.groupdict()
                    yield number, index, groups.get("value"), groups.get("unit")
                    break
            else:
                yield number, -1, None, None
