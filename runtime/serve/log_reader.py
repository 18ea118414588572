"""What a page shows of a log: its last lines, or the lines that have a text. Bounded in bytes and time; blocks."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Final

import attrs

from runtime.report.text import printable_line
from runtime.roots import RootedPath

MAX_LINES: Final = 1000
"""Lines that are shown. Arbitrary: ten times more make a browser slow."""
MAX_TAIL: Final = 512 << 10
"""Bytes at the end of a log that its last lines are taken from. Arbitrary: 1000 lines of 500 characters."""
MAX_LINE: Final = 2000
"""Characters of a line that are shown. Arbitrary: ten times more, and `MAX_LINES` of them take 20 MB."""
MAX_FOUND: Final = 200
"""Lines that a search finds. Arbitrary: nobody reads more; a longer text finds fewer."""
SEARCH_TIME: Final = 5.0
"""Seconds after which a search ends. Arbitrary: ten times longer, and a browser seems to hang."""
MAX_QUERY: Final = 200
"""Characters of a text that is searched for. Arbitrary: a line."""
_BLOCK: Final = 1 << 20


@attrs.frozen
class LogLines:
    """Some lines of a log."""

    lines: tuple[tuple[int | None, str], ...]
    """The number of each line, from 1, if it is known; and its text."""
    size: int
    """Bytes of the log."""
    note: str = ""
    """What of the log was not looked at; empty if all was."""


def last_lines(log: RootedPath, count: int) -> LogLines:
    """Return the last lines of a log, `MAX_LINES` at most.

    Raises:
        OSError: if it cannot be read, or is no regular file.
    """
    with open(log.open_regular(), "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        start = max(0, size - MAX_TAIL)
        file.seek(start)
        content = file.read(MAX_TAIL)
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if start and len(lines) > 1:
        del lines[0]  # the end of a line
    taken = lines[-max(1, min(count, MAX_LINES)) :]
    is_all = start == 0 and len(taken) == len(lines)
    first = len(lines) - len(taken) + 1 if start == 0 else None
    numbered = tuple((None if first is None else first + index, _text(line)) for index, line in enumerate(taken))
    return LogLines(numbered, size, "" if is_all else f"the last {len(taken)} lines")


def search(log: RootedPath, text: str) -> LogLines:
    """Return the lines of a log that have this text, as it is, in upper and lower case; the first `MAX_FOUND` of them.

    Raises:
        OSError: if it cannot be read, or is no regular file.
    """
    deadline = time.monotonic() + SEARCH_TIME
    with open(log.open_regular(), "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        finder = _Finder(text[:MAX_QUERY].encode("utf-8", "replace"))
        while not finder.is_full and time.monotonic() < deadline and (block := file.read(_BLOCK)):
            finder.feed(block)
        is_all = file.tell() >= size
    finder.end()
    note = ""
    if finder.is_full:
        note = f"the first {MAX_FOUND} lines that have it"
    elif not is_all:
        note = f"searched up to line {finder.line}: a search ends after {SEARCH_TIME:.0f} s"
    return LogLines(tuple(finder.found), size, note)


class _Finder:
    """Finds lines in blocks. A line that is longer than a block is searched in parts, and found once."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._rest = b""
        self.line = 1
        """The number of the line that the next block begins in."""
        self.found: deque[tuple[int | None, str]] = deque()

    @property
    def is_full(self) -> bool:
        return len(self.found) >= MAX_FOUND

    def feed(self, block: bytes) -> None:
        content = self._rest + block
        whole, newline, rest = content.rpartition(b"\n")
        self._search(whole + newline)
        if len(rest) > _BLOCK:
            self._search(rest)
            rest = rest[-len(self._text) :]  # what is searched for may begin here
        self._rest = rest

    def end(self) -> None:
        """Search what follows the last line end."""
        if not self.is_full:
            self._search(self._rest)

    def _search(self, content: bytes) -> None:
        """Search the content, and count its lines."""
        counted = 0
        at = content.find(self._text) if self._text else -1
        while at >= 0 and not self.is_full:
            self.line += content.count(b"\n", counted, at)
            start, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
            end = len(content) if end < 0 else end
            if not self.found or self.found[-1][0] != self.line:
                # Of a long line what is around the text, which else might be cut off.
                start = max(start, at - MAX_LINE // 2)
                self.found.append((self.line, _text(content[start:end][: 4 * MAX_LINE])))
            counted = end
            at = content.find(self._text, max(end, at + 1))
        self.line += content.count(b"\n", counted)


def _text(line: bytes) -> str:
    text = line[: 4 * MAX_LINE].decode("utf-8", "backslashreplace").removesuffix("\r")
    return printable_line(text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}…")
