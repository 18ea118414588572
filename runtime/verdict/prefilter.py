"""`PrefilterEngine`: Hyperscan says which patterns may match in a block; another engine says whether, and where.

Hyperscan looks for all patterns at once, at several gigabytes a second whatever they are, where RE2 is as fast only if
it can skip to the next line. But it tells where a match ends, has no groups, and its ``^`` and ``$`` are PCRE's. So it
never decides: a pattern of which it sees nothing in a block is not asked for there, and each of the others is, as if
there were no Hyperscan. All that has to hold is that it overlooks nothing:

* it gets the pattern that RE2 gets, of bare basics, which `translate` has written;
* what has no translation, what it refuses, and what is so large that compiling it would take long is always asked for;
* so is what matches the empty text: a last line without a byte is no line to Hyperscan, whose ``^`` is not at the very
  end of a text.

Compiling takes it some hundredths of a second, so it is left out for the beginning of a log.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from runtime.verdict.combined import CombinedEngine
from runtime.verdict.engine import Engine, Hit
from runtime.verdict.translate import UNBOUNDED, Translation, parse, translate
from runtime.verdict.worker import Workers

UNFILTERED: Final = 8 << 20
"""Bytes at the beginning of a log that are not filtered: RE2 is through with them when Hyperscan has compiled."""

_MAX_POSITIONS: Final = 300
"""How large a pattern may be that is compiled, with its repetitions written out; that takes half a second at most."""


def available() -> bool:
    """Whether Hyperscan is installed, and runs on this processor."""
    return _module() is not None and _compile(("a",)) is not None


class PrefilterEngine:
    """See the module. Without Hyperscan, it is as if it were not there.

    Args:
        patterns: what to look for.
        engine: decides.
        unfiltered: bytes of the log that it gets as they are.
    """

    def __init__(self, patterns: Sequence[re.Pattern[bytes]], engine: Engine, unfiltered: int = UNFILTERED) -> None:
        self._engine = engine
        self._patterns = tuple(patterns)
        self._unfiltered = unfiltered
        self._filter: _Filter | None = None

    def scan(self, block: bytes, first: Collection[int], last: Collection[int]) -> Iterable[Hit]:
        """See `Engine.scan`; raises what the other engine raises."""
        if self._unfiltered > 0:
            self._unfiltered -= len(block)
            return self._engine.scan(block, first, last)
        if self._filter is None:
            self._filter = _Filter(self._patterns)
        ruled_out = self._filter.ruled_out(block)
        first, last = [n for n in first if n not in ruled_out], [n for n in last if n not in ruled_out]
        return self._engine.scan(block, first, last) if first or last else ()

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()


def best_engine(patterns: Sequence[re.Pattern[bytes]], workers: Workers, budget: float) -> Engine:
    """Return the fastest engine for a log that there is here; arguments as for `CombinedEngine`."""
    return PrefilterEngine(patterns, CombinedEngine(patterns, workers, budget))


class _Filter:
    """The patterns of one engine, compiled."""

    def __init__(self, patterns: Sequence[re.Pattern[bytes]]) -> None:
        texts = {number: text for number, pattern in enumerate(patterns) if (text := expression(pattern)) is not None}
        database = _compile(tuple(texts.values()))
        if database is None:  # one of them it refuses
            texts = {number: text for number, text in texts.items() if _compile((text,)) is not None}
            database = _compile(tuple(texts.values()))
        self._numbers = list(texts) if database is not None else []
        self._database = database
        self._scratch = None if database is None else _module().Scratch(database)  # one for each thread

    def ruled_out(self, block: bytes) -> Collection[int]:
        """Return the patterns that surely match no line of `block`."""
        if not self._numbers:
            return ()
        ruled_out = set(self._numbers)

        def seen(number: int, *_: object) -> None:
            ruled_out.discard(self._numbers[number])

        self._database.scan(block, seen, scratch=self._scratch)
        return ruled_out


def expression(pattern: re.Pattern[bytes]) -> str | None:
    """Return the pattern that Hyperscan gets; `None` if there is none, and it is always to be asked for."""
    translation = translate(pattern)
    if translation is None:
        return None
    tree = parse(pattern.pattern)
    if tree.getwidth()[0] == 0 or _positions(tree) > _MAX_POSITIONS:
        return None
    return _text(translation)


def _text(translation: Translation) -> str:
    return f"^(?:{translation.body})" if translation.anchored else translation.body


def _positions(items: Iterable[tuple[Any, Any]]) -> int:
    """Return how many bytes stand in a pattern when all its repetitions with a bound are written out."""
    return sum(_positions_of(str(op), value) for op, value in items)


def _positions_of(op: str, value: Any) -> int:
    match op:
        case "BRANCH":
            return sum(map(_positions, value[1]))
        case "SUBPATTERN":
            return _positions(value[3])
        case "MAX_REPEAT" | "MIN_REPEAT":
            low, high, items = value
            return _positions(items) * int(high if high < UNBOUNDED else max(low, 1))
        case _:
            return 1


@functools.lru_cache(maxsize=64)
def _compile(texts: tuple[str, ...]) -> Any:
    """Return a database of these patterns; `None` if there are none, or one is refused."""
    hyperscan = _module()
    if hyperscan is None or not texts:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_SINGLEMATCH  # once for each pattern is enough
    try:
        database.compile(expressions=[text.encode("ascii") for text in texts], flags=flags)
    except hyperscan.error:
        return None
    return database


@functools.cache
def _module() -> Any:
    try:
        import hyperscan
    except ImportError:
        return None
    return hyperscan
