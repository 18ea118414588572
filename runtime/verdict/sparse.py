"""`LogFile`: a log that is a file, without its holes. Blocks: for threads.

A hole is a part of a file that was never written: when a process truncates the file to a larger size, or to zero while
its writer goes on at its old offset. It reads as NUL bytes, at the speed of memory, and 63 GiB of it cost nothing to
make. To patterns a hole is what it reads as: NUL bytes of the line that it is in. But such a line is judged in pieces,
and all pieces of NUL bytes alone give the same result. So `read_blocks` asks for the end of a hole, and leaves out most
of its pieces; the judgement is the same, byte by byte.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from typing import Final

_MAX_COUNTED: Final = 10_000
"""Extents of data whose sizes are added up. Arbitrary: counting them takes some milliseconds. Only a hostile log has
more; its other data adds nothing to the budget. Ten times more, and such a log holds a thread for longer; ten times
less, and a real log with many holes might get too small a budget."""

_STAT_BLOCK: Final = 512
"""Bytes of the unit of `os.stat_result.st_blocks`."""


class LogFile:
    """The bytes of a regular file, up to the size that it had when it was opened.

    They are read, not mapped: a job that truncates its log while it is mapped would kill this process.

    Args:
        fd: of the file.
        status: of the file.
    """

    def __init__(self, fd: int, status: os.stat_result) -> None:
        self._fd = fd
        self.size: Final = status.st_size
        """See `Log.size`."""
        # Also true for a file that its file system compresses, which then has none.
        self._may_have_holes = status.st_blocks * _STAT_BLOCK < status.st_size

    def read(self, start: int, size: int) -> bytes:
        """See `Log.read`."""
        text = os.pread(self._fd, size, start)
        while len(text) < size and (more := os.pread(self._fd, size - len(text), start + len(text))):
            text += more
        return text

    def hole_end(self, start: int) -> int:
        """See `Log.hole_end`."""
        if not self._may_have_holes:
            return start
        data = self._seek(start, os.SEEK_DATA)
        if data is None:  # or it has become shorter: what is cut off is no hole
            data = max(start, os.fstat(self._fd).st_size)
        return min(data, self.size)

    def data_size(self) -> int:
        """Return how many bytes of data it has; too few, if it has more than `_MAX_COUNTED` extents."""
        if not self._may_have_holes:
            return self.size
        return sum(end - start for start, end in itertools.islice(self._extents(), _MAX_COUNTED))

    def _extents(self) -> Iterator[tuple[int, int]]:
        """Yield the beginning and the end of each extent of data."""
        end = 0
        while (start := self.hole_end(end)) < self.size:
            hole = self._seek(start, os.SEEK_HOLE)
            end = self.size if hole is None else min(self.size, hole)
            yield start, end

    def _seek(self, start: int, whence: int) -> int | None:
        """Return the offset of the next data, or of the next hole; `None` if there is none before the end."""
        try:
            return os.lseek(self._fd, start, whence)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return None
            if exc.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # the file system does not report holes: all is data
                return start if whence == os.SEEK_DATA else None
            raise
