"""`PrefilterEngine`: Hyperscan rules out patterns that cannot match in a block; another engine searches the others.

Hyperscan searches for all patterns at once, at several gigabytes a second whatever they are. RE2 is as fast only where
it can skip to the next line. But Hyperscan reports where a match ends, has no groups, and its ``^`` and ``$`` are those
of PCRE. So it never decides: in a block, the other engine searches all patterns but those that Hyperscan rules out, as
if there were no Hyperscan. It must therefore miss no match:

* It gets the pattern that RE2 gets, written by `translate` in elements that mean the same to both.
* A pattern that has no translation, that Hyperscan refuses, or that would take long to compile is never ruled out.
* Nor is a pattern that matches the empty text: an empty last line is no line to Hyperscan, whose ``^`` does not match
  at the very end of a text.

Compiling takes some hundredths of a second, so the beginning of a log is not filtered.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from types import ModuleType
from typing import Final, Protocol

from runtime.verdict.combined import CombinedEngine
from runtime.verdict.engine import Engine, Hit
from runtime.verdict.lines import Block
from runtime.verdict.translate import UNBOUNDED, Node, Translation, parse, translate
from runtime.verdict.worker import Workers

UNFILTERED: Final = 8 << 20
"""Bytes at the beginning of a log that are not filtered: RE2 searches them in the time that Hyperscan takes to compile.
With ten times less a short log waits for the compiler; with ten times more a long one gains less."""

_MAX_POSITIONS: Final = 300
"""Bytes of the largest pattern that is compiled, its bounded repetitions written out. Compiling it takes half a second
at most; with ten times more, much longer."""


class _Database(Protocol):
    """Patterns that Hyperscan compiles, together."""

    def compile(self, *, expressions: Sequence[bytes], flags: int) -> object: ...

    def scan(self, block: bytes, match_event_handler: Callable[..., object], *, scratch: object) -> object: ...


def available() -> bool:
    """Whether Hyperscan is installed, and runs on this processor."""
    return _module() is not None and _compile(("a",)) is not None


class PrefilterEngine:
    """Searches with another engine, for the patterns alone that Hyperscan does not rule out.

    Where Hyperscan is not installed, no pattern is ruled out.

    Args:
        patterns: what to look for.
        engine: finds the hits.
        unfiltered: bytes at the beginning of the log in which no pattern is ruled out.
    """

    def __init__(self, patterns: Sequence[re.Pattern[bytes]], engine: Engine, unfiltered: int = UNFILTERED) -> None:
        self._engine = engine
        self._patterns = tuple(patterns)
        self._unfiltered = unfiltered
        self._filter: _Filter | None = None

    def scan(self, block: Block, first: Collection[int], last: Collection[int]) -> Iterable[Hit]:
        """See `Engine.scan`; raises what the other engine raises."""
        if self._unfiltered > 0:
            self._unfiltered -= block.end - 1
            return self._engine.scan(block, first, last)
        if self._filter is None:
            self._filter = _Filter(self._patterns)
        block = block.clean()
        candidates = self._filter.candidates(block.text)
        if not candidates:
            return ()
        first, last = [n for n in first if n in candidates], [n for n in last if n in candidates]
        return self._engine.scan(block, first, last) if first or last else ()

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()


def best_engine(patterns: Sequence[re.Pattern[bytes]], workers: Workers, budget: float) -> Engine:
    """Return the fastest engine that is installed; arguments as for `CombinedEngine`."""
    return PrefilterEngine(patterns, CombinedEngine(patterns, workers, budget))


class _Filter:
    """The patterns of one engine, compiled by Hyperscan."""

    def __init__(self, patterns: Sequence[re.Pattern[bytes]]) -> None:
        texts = {number: text for number, pattern in enumerate(patterns) if (text := expression(pattern)) is not None}
        database = _compile(tuple(texts.values()))
        if database is None:  # Hyperscan refuses one of them, and does not say which
            texts = {number: text for number, text in texts.items() if _compile((text,)) is not None}
            database = _compile(tuple(texts.values()))
        hyperscan = _module()
        self._numbers = list(texts) if database is not None else []
        self._others = frozenset(range(len(patterns))).difference(self._numbers)
        self._database = database
        # The database is shared by all engines with these patterns. Scratch space must not be: they run in threads.
        self._scratch = None if database is None or hyperscan is None else hyperscan.Scratch(database)

    def candidates(self, text: bytes) -> Collection[int]:
        """Return the indexes of the patterns that may match a line of `text`."""
        if self._database is None:
            return self._others
        found = set(self._others)

        def seen(number: int, *_: object) -> None:
            found.add(self._numbers[number])

        # All of `text`, also what is no part of its block: a part of it would be a copy.
        self._database.scan(text, seen, scratch=self._scratch)
        return found


def expression(pattern: re.Pattern[bytes]) -> str | None:
    """Return the pattern as Hyperscan gets it; `None` if it must never be ruled out."""
    translation = translate(pattern)
    if translation is None:
        return None
    tree = parse(pattern.pattern)
    assert tree is not None  # as it was translated
    if tree.getwidth()[0] == 0 or _positions(tree) > _MAX_POSITIONS:
        return None
    return _text(translation)


def _text(translation: Translation) -> str:
    return f"^(?:{translation.body})" if translation.anchored else translation.body


def _positions(items: Iterable[Node]) -> int:
    """Return how many bytes a pattern has when its bounded repetitions are written out."""
    return sum(map(_positions_of, items))


def _positions_of(node: Node) -> int:
    op, value = node
    match str(op):
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
def _compile(texts: tuple[str, ...]) -> _Database | None:
    """Return a database of these patterns; `None` if there are none, or Hyperscan refuses one."""
    hyperscan = _module()
    if hyperscan is None or not texts:
        return None
    database: _Database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    # SINGLEMATCH: one report per pattern is enough; without it the callback would be called for each match.
    flags = hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_SINGLEMATCH
    try:
        database.compile(expressions=[text.encode("ascii") for text in texts], flags=flags)
    except hyperscan.error:
        return None
    return database


@functools.cache
def _module() -> ModuleType | None:
    try:
        import hyperscan
    except ImportError:
        return None
    return None if _misses_matches(hyperscan) else hyperscan


def _misses_matches(hyperscan: ModuleType) -> bool:
    """Whether this build of Hyperscan fails to report a match, so that it must not rule out any pattern.

    Builds 0.7.23, 0.7.27, 0.7.30, 0.8.2 and 0.9.1 do, with several short patterns that begin or end at a line's edge:
    in about one of 200 random blocks of short lines. 0.7.13 did so in none of 127,000. Builds between were not tried.
    """
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=[b"x$", b"ERROR$"], flags=hyperscan.HS_FLAG_MULTILINE)
    seen: list[int] = []
    database.scan(b"\n" * 20 + b"x\n", lambda number, *_: seen.append(number), scratch=hyperscan.Scratch(database))
    return not seen
