r"""`Log`: the bytes of a log, which are read in any order; and `LineNumbers`: the numbers of its lines."""

from __future__ import annotations

import errno
from typing import Final, Protocol

import attrs

_COUNTED_AT_ONCE: Final = 1 << 18
"""Bytes in which line ends are counted at once. Not measured: as many as are judged at once."""


class Log(Protocol):
    """The bytes of a log."""

    @property
    def size(self) -> int:
        """How many there are; of a file, when it was opened."""

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from `start`; fewer only if the log ends before.

        Raises:
            OSError: if it cannot be read.
        """

    def hole_end(self, start: int) -> int:
        """Return the end of the hole that `start` is in; `start` if it is in none."""


@attrs.frozen
class LogText:
    """A log that is in memory."""

    text: bytes

    @property
    def size(self) -> int:
        """See `Log.size`."""
        return len(self.text)

    def read(self, start: int, size: int) -> bytes:
        """See `Log.read`."""
        return self.text[start : start + size]

    def hole_end(self, start: int) -> int:
        """See `Log.hole_end`."""
        return start


class LineNumbers:
    r"""The numbers of the lines of `log`, from 1, as ``grep -n`` counts them.

    Counting takes longer than searching. So it is done when a number is asked for, and no part of a log is counted
    twice for numbers that are asked for in their order.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._newlines = {0: 0}
        """By offset, how many are before it."""

    def at(self, offset: int) -> int:
        """Return the number of the line that begins, or goes on, at `offset`.

        Raises:
            OSError: if the log cannot be read, or has become shorter: what was judged is no longer there.
        """
        begin = max(known for known in self._newlines if known <= offset)
        found, at = self._newlines[begin], begin
        while (at := min(self._log.hole_end(at), offset)) < offset:
            text = self._log.read(at, min(_COUNTED_AT_ONCE, offset - at))
            if not text:
                raise OSError(errno.ESTALE, "the log was cut while it was judged")
            found += text.count(b"\n")
            at += len(text)
        self._newlines[offset] = found
        return found + 1

    def last(self) -> int:
        """Return the number of the last line; 0 if there is none. Raises what `at` raises."""
        size = self._log.size
        ended = size == 0 or self._log.read(size - 1, 1) == b"\n"
        return self.at(size) - ended
