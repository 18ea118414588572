r"""`LinearEngine`: RE2 over whole blocks. Its time is linear in the log, whatever the patterns.

All patterns whose first hit is wanted are one pattern, so a block in which none matches costs one search. Those that
match at the beginning of a line only are searched with the ``\n`` before it, because RE2 goes from one ``\n`` to the
next several times as fast as it goes from byte to byte. Where the one pattern matches, each is asked by itself: of a
log's life that happens once per pattern and no more, since what was found is not wanted again.

RE2 releases the interpreter's lock while it searches. Where it gets no memory, it ends the process. So when it is
loaded, and when a pattern is compiled, there has to be some to spare; if not, this process does without from then on.
"""

from __future__ import annotations

import functools
import mmap
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from runtime.verdict.engine import Hit
from runtime.verdict.translate import TIME_GROUPS, Translation, translate

_MAX_MEMORY: Final = 16 << 20
"""Bytes that RE2 may use for one pattern; without enough it is slower, not wrong. Twice its default."""

_ROOM: Final = 64 << 20
"""Bytes that have to be free for it: a few patterns with all that they may use. Arbitrary."""

_FIRST_WINDOW: Final = 1 << 12
"""Bytes of a block's end in which a last hit is looked for first."""


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
    """See the module.

    Args:
        patterns: those for which `is_linear` says so; the others are never to be asked for.
    """

    def __init__(self, patterns: Sequence[re.Pattern[bytes]]) -> None:
        self._translations = [translate(pattern) for pattern in patterns]

    def scan(self, block: bytes, first: Collection[int], last: Collection[int]) -> Iterator[Hit]:
        """See `Engine.scan`."""
        text = b"\n" + block  # then each line has its \n before it
        for group in _halves(self._of(first)):
            yield from self._scan_first(text, group)
        for number, translation in self._of(last):
            yield from _find_last(text, number, translation)

    def close(self) -> None:
        """See `Engine.close`."""

    def _of(self, numbers: Collection[int]) -> list[tuple[int, Translation]]:
        return [(number, found) for number in numbers if (found := self._translations[number]) is not None]

    def _scan_first(self, text: bytes, wanted: Sequence[tuple[int, Translation]]) -> Iterator[Hit]:
        if not wanted:
            return
        if len(wanted) > 1:
            union = _union(tuple(dict.fromkeys(translation for _, translation in wanted)))
            if union is not None and union.search(text, _start(wanted[0][1])) is None:
                return
        for number, translation in wanted:
            found = _union((translation,)).search(text, _start(translation))
            if found is not None:
                yield _hit(number, translation, text, found.start() + translation.anchored)


def _halves(wanted: Sequence[tuple[int, Translation]]) -> Iterator[Sequence[tuple[int, Translation]]]:
    yield [item for item in wanted if item[1].anchored]
    yield [item for item in wanted if not item[1].anchored]


def _start(translation: Translation) -> int:
    return 0 if translation.anchored else 1


def _find_last(text: bytes, number: int, translation: Translation) -> Iterator[Hit]:
    """Find the last line that matches, in a window at the end that grows until there is one."""
    pattern = _union((translation,))
    begin = _start(translation)
    if pattern.search(text, begin) is None:
        return
    size = _FIRST_WINDOW
    while True:
        edge = max(0, text.rfind(b"\n", 0, max(1, len(text) - size)))
        window = text[edge:]
        found, position = None, begin
        while position <= len(window) and (match := pattern.search(window, position)) is not None:
            found = match.start() + translation.anchored
            end = window.find(b"\n", found)
            if end < 0:
                break
            position = end + begin
        if found is not None:
            yield _hit(number, translation, text, edge + found)
            return
        size *= 8


def _hit(number: int, translation: Translation, text: bytes, place: int) -> Hit:
    r"""Return the hit at `place` in `text`, whose first byte is the ``\n`` before the first line."""
    groups = {}
    if "(?P<" in translation.with_groups:
        start = text.rfind(b"\n", 0, place) + 1
        end = text.find(b"\n", place)
        pattern = _compile(f"(?m){translation.with_groups}")
        assert pattern is not None
        line = text[start : None if end < 0 else end]
        match = pattern.search(line)
        names = pattern.groupindex
        groups = {name: match[index] for name in TIME_GROUPS if (index := names.get(name.encode())) is not None}
    return Hit(number, text.count(b"\n", 1, place), groups.get("value"), groups.get("unit"))


@functools.lru_cache(maxsize=64)
def _union(translations: tuple[Translation, ...]) -> Any:
    """Return the pattern that finds what any of them finds; all of them are anchored, or none is."""
    bodies = "|".join(f"(?:{translation.body})" for translation in translations)
    return _compile(f"(?m)\\n(?:{bodies})" if translations[0].anchored else f"(?m){bodies}")


@functools.lru_cache(maxsize=256)
def _compile(text: str) -> Any:
    """Return the pattern compiled by RE2, or `None` if it refuses it, is not there, or lacks the room."""
    re2 = _module()
    if re2 is None or not _has_room():
        return None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(text.encode("ascii"), options)
    except re2.error:
        return None


@functools.cache
def _module() -> Any:
    if not _has_room():
        return None
    try:
        import re2

        return re2 if re2.compile and re2.Options else None
    except (ImportError, AttributeError, MemoryError):  # loaded by halves for want of memory, it stays so
        return None


def _has_room() -> bool:
    """Whether there is `_ROOM`. It takes microseconds, and no memory."""
    try:
        mmap.mmap(-1, _ROOM, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True
