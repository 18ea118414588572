"""`IgnoringEngine`: finds what another engine finds, but for lines that count for nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from runtime.verdict.engine import Engine, Hit
from runtime.verdict.explaining import MAX_SEARCHED
from runtime.verdict.lines import Block

MAX_IGNORED: Final = 200
"""Lines of one log that are passed over for a pattern; then it is not searched for any more. Arbitrary: each costs
another search. Ten times more, and a log that repeats one complaint holds a thread; ten times less, and what comes
after a page of warnings is not found."""


class IgnoringEngine:
    """Searches with another engine, and goes on to the next line where the line found is one to ignore.

    Args:
        engine: finds the hits. It is closed with this one.
        ignored: what matches the beginning of a line to ignore, up to `MAX_SEARCHED` bytes. Fast for those.
    """

    def __init__(self, engine: Engine, ignored: re.Pattern[bytes]) -> None:
        self._engine = engine
        self._ignored = ignored
        self._passed_over: Counter[int] = Counter()
        """How many lines, by the number of the pattern."""

    def scan(self, block: Block, first: Collection[int], last: Collection[int]) -> Iterator[Hit]:
        """See `Engine.scan`; raises what the other engine raises. Lines are ignored for the patterns in `first`."""
        first = [number for number in first if self._passed_over[number] < MAX_IGNORED]
        for hit in self._engine.scan(block, first, last) if first or last else ():
            counting = hit if hit.pattern in last else self._first_counting(block, hit)
            if counting is not None:
                yield counting

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()

    def _first_counting(self, block: Block, hit: Hit) -> Hit | None:
        """Return the first hit of the pattern of `hit`, from `hit` on, whose line counts."""
        before = 0  # lines of the block that are passed over
        text = block.lines
        while True:
            lines = text.split(b"\n", hit.line + 1)
            if self._ignored.search(lines[hit.line][:MAX_SEARCHED]) is None:
                return Hit(hit.pattern, before + hit.line)
            self._passed_over[hit.pattern] += 1
            if self._passed_over[hit.pattern] == MAX_IGNORED or len(lines) == hit.line + 1:
                return None
            before += hit.line + 1
            text = lines[-1]
            found = next(iter(self._engine.scan(Block.of(text), (hit.pattern,), ())), None)
            if found is None:
                return None
            hit = found
