r"""`LinearEngine`: RE2 over whole blocks. Its time is linear in the log, whatever the patterns.

The patterns whose first hit to find are joined into one, so a block in which none matches costs one search. Where the
joined pattern matches, each pattern is searched by itself. That happens once per pattern and log at most, because a
pattern that was found is not searched again.

RE2 releases the interpreter's lock while it searches. When it runs out of memory, it aborts the process. So it is
loaded, and a pattern is compiled, only while enough memory is free; what failed for lack of it is not tried again.
"""

from __future__ import annotations

import functools
import mmap
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Final, Protocol

from runtime.verdict.engine import Hit
from runtime.verdict.lines import Block
from runtime.verdict.translate import TIME_GROUPS, Translation, translate

_MAX_MEMORY: Final = 16 << 20
"""Bytes that RE2 may use for one pattern. Twice its default: with less it is slower, not wrong."""

_MIN_FREE_MEMORY: Final = 64 << 20
"""Bytes that must be free to load RE2 or to compile a pattern: `_MAX_MEMORY` for a few patterns. Arbitrary: ten times
less, and RE2 may abort this process; ten times more, and it is not used on a machine that has enough for it."""

_FIRST_WINDOW: Final = 1 << 12
"""Bytes at the end of a block in which a last hit is looked for first. Not measured: ten times more costs time where
the hit is near the end, ten times less where it is not."""


class _Match(Protocol):
    """A match of RE2."""

    def start(self) -> int: ...

    def __getitem__(self, group: int, /) -> bytes | None: ...


class _Pattern(Protocol):
    """A pattern that RE2 has compiled."""

    @property
    def groupindex(self) -> Mapping[bytes, int]: ...

    def search(self, text: bytes, start: int, end: int, /) -> _Match | None: ...


def available() -> bool:
    """Whether RE2 is installed."""
    return _module() is not None


def is_linear(pattern: re.Pattern[bytes]) -> bool:
    """Whether `LinearEngine` can be made with `pattern`."""
    translation = translate(pattern)
    return (
        translation is not None
        and _union((translation,)) is not None
        and _compile(f"(?m){translation.with_groups}") is not None
    )


class LinearEngine:
    """Searches whole blocks with RE2.

    Args:
        patterns: what to look for; `scan` must be called for those that `is_linear` accepts only.
    """

    def __init__(self, patterns: Sequence[re.Pattern[bytes]]) -> None:
        self._translations = [translate(pattern) for pattern in patterns]

    def scan(self, block: Block, first: Collection[int], last: Collection[int]) -> Iterator[Hit]:
        """See `Engine.scan`."""
        block = block.clean()
        for group in _halves(self._of(first)):
            yield from _find_first(block, group)
        for number, translation in self._of(last):
            yield from _find_last(block, number, translation)

    def close(self) -> None:
        """See `Engine.close`."""

    def _of(self, numbers: Collection[int]) -> list[tuple[int, Translation]]:
        return [(number, found) for number in numbers if (found := self._translations[number]) is not None]


def _halves(patterns: Sequence[tuple[int, Translation]]) -> Iterator[Sequence[tuple[int, Translation]]]:
    r"""Yield the anchored patterns, then the others.

    Anchored ones are searched with the ``\n`` before their line instead of ``^``: RE2 skips from one ``\n`` to the next
    several times as fast as it goes from byte to byte. One pattern that is not anchored would undo that for all.
    """
    yield [item for item in patterns if item[1].anchored]
    yield [item for item in patterns if not item[1].anchored]


def _start(translation: Translation) -> int:
    r"""Return where a search begins: an anchored pattern needs the ``\n`` that stands before the block."""
    return 0 if translation.anchored else 1


def _find_first(block: Block, patterns: Sequence[tuple[int, Translation]]) -> Iterator[Hit]:
    if not patterns:
        return
    text, end = block.text, block.end
    if len(patterns) > 1:
        # `None` if the union is too large for RE2: then each pattern is searched by itself.
        union = _union(tuple(dict.fromkeys(translation for _, translation in patterns)))
        if union is not None and union.search(text, _start(patterns[0][1]), end) is None:
            return
    for number, translation in patterns:
        found = _known(_union((translation,))).search(text, _start(translation), end)
        if found is not None:
            yield _hit(number, translation, block, found.start() + translation.anchored)


def _find_last(block: Block, number: int, translation: Translation) -> Iterator[Hit]:
    """Find the last line that matches, in a window at the end that grows until it has one."""
    # RE2 searches forwards only. From the beginning of the block, each hit before the last would cost a search.
    pattern = _known(_union((translation,)))
    text, end, begin = block.text, block.end, _start(translation)
    if pattern.search(text, begin, end) is None:
        return
    size = _FIRST_WINDOW
    while True:
        # From the beginning of a line. As at the beginning of the block, an unanchored search begins behind its \n.
        position = max(0, text.rfind(b"\n", 0, max(1, end - size))) + begin
        found = None
        while position <= end and (match := pattern.search(text, position, end)) is not None:
            found = match.start() + translation.anchored
            line_end = text.find(b"\n", found, end)
            if line_end < 0:
                break
            position = line_end + begin
        if found is not None:
            yield _hit(number, translation, block, found)
            return
        size *= 8


def _hit(number: int, translation: Translation, block: Block, position: int) -> Hit:
    """Return the hit at `position` in the text of `block`."""
    text, groups = block.text, {}
    if "(?P<" in translation.with_groups:
        # RE2 is fast only without groups, so they are read by a second search, of the line that was found.
        start = text.rfind(b"\n", 0, position) + 1
        end = text.find(b"\n", position, block.end)
        pattern = _known(_compile(f"(?m){translation.with_groups}"))
        match = pattern.search(text, start, block.end if end < 0 else end)
        names = pattern.groupindex
        assert match is not None  # as it is the line that was found
        groups = {name: match[index] for name in TIME_GROUPS if (index := names.get(name.encode())) is not None}
    return Hit(number, text.count(b"\n", 1, position), groups.get("value"), groups.get("unit"))


def _known(pattern: _Pattern | None) -> _Pattern:
    """Return a pattern that RE2 has compiled before.

    Raises:
        MemoryError: if it has been forgotten since, and memory was low: from then on `is_linear` refuses it.
    """
    if pattern is None:
        raise MemoryError
    return pattern


@functools.lru_cache(maxsize=64)
def _union(translations: tuple[Translation, ...]) -> _Pattern | None:
    """Return a pattern that matches where any of `translations` does; `None` as for `_compile`.

    All of them are anchored, or none is.
    """
    bodies = "|".join(f"(?:{translation.body})" for translation in translations)
    return _compile(f"(?m)\\n(?:{bodies})" if translations[0].anchored else f"(?m){bodies}")


@functools.lru_cache(maxsize=256)
def _compile(text: str) -> _Pattern | None:
    """Return the pattern compiled by RE2; `None` if RE2 refuses it or is not installed, or if memory is low."""
    re2 = _module()
    if re2 is None or not _has_free_memory():
        return None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        pattern: _Pattern = re2.compile(text.encode("ascii"), options)
    except re2.error:
        return None
    return pattern


@functools.cache
def _module() -> ModuleType | None:
    if not _has_free_memory():
        return None
    try:
        import re2

        return re2 if re2.compile and re2.Options else None
    except (ImportError, AttributeError, MemoryError):  # a module that ran out of memory stays half loaded
        return None


def _has_free_memory() -> bool:
    """Whether `_MIN_FREE_MEMORY` bytes can be allocated. Takes microseconds, and no memory."""
    try:
        mmap.mmap(-1, _MIN_FREE_MEMORY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True
