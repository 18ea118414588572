"""`read_chunks`: reads a file without its holes. Blocks: for threads.

A hole is a part of a file that was never written: when a process truncates the file to a larger size, or to zero while
its writer goes on at its old offset. It reads as NUL bytes, at the speed of memory, and 63 GiB of it cost nothing to
make. To patterns a hole is what it reads as: NUL bytes of the line that it is in. But such a line is judged in pieces
of `MAX_LINE`, and all pieces of NUL bytes alone give the same result. So a long hole is replaced by a few pieces, in a
way that keeps the edges of all pieces after it; the judgement is the same, byte by byte.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from typing import Final

import attrs

from runtime.verdict import lines

_PIECES_OF_A_HOLE: Final = 3
"""Pieces that stand for a long hole: at least one of them has NUL bytes alone, wherever in a piece the hole begins."""

_MAX_COUNTED: Final = 10_000
"""Extents of data whose sizes are added up. Arbitrary: counting them takes some milliseconds. Only a hostile log has
more; its other data adds nothing to the budget. Ten times more, and such a log holds a thread for longer; ten times
less, and a real log with many holes might get too small a budget."""

_STAT_BLOCK: Final = 512
"""Bytes of the unit of `os.stat_result.st_blocks`."""


@attrs.frozen
class Chunk:
    """Consecutive bytes of a file."""

    text: bytes
    end: int
    """The offset in the file at which they end."""


def data_size(fd: int, status: os.stat_result) -> int:
    """Return how many bytes of data a file has; too few, if it has more than `_MAX_COUNTED` extents."""
    if not _may_have_holes(status):
        return status.st_size
    found = itertools.islice(_extents(fd, 0, status.st_size), _MAX_COUNTED)
    return sum(end - start for start, end in found)


def read_chunks(fd: int, start: int, status: os.stat_result) -> Iterator[Chunk]:
    """Yield the bytes of a file from `start` to the size in `status`; fewer than there are of a long hole.

    Raises:
        OSError: if it cannot be read.
    """
    end = status.st_size
    if not _may_have_holes(status):
        yield from _data(fd, start, end)
        return
    for data, hole in _extents(fd, start, end):
        yield from _hole(start, data)
        yield from _data(fd, data, hole)
        start = hole
    yield from _hole(start, min(end, os.fstat(fd).st_size))  # it may have shrunk: what is cut off is no hole


def _may_have_holes(status: os.stat_result) -> bool:
    """Whether the file may have holes. Also true for a file that its file system compresses, which then has none."""
    return status.st_blocks * _STAT_BLOCK < status.st_size


def _extents(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the beginning and the end of each extent of data between `start` and `end`."""
    while start < end:
        data = _seek(fd, start, os.SEEK_DATA)
        if data is None or data >= end:
            return
        hole = _seek(fd, data, os.SEEK_HOLE)
        start = end if hole is None else min(end, hole)
        yield data, start


def _seek(fd: int, start: int, whence: int) -> int | None:
    """Return the offset of the next data, or of the next hole; `None` if there is none before the end of the file."""
    try:
        return os.lseek(fd, start, whence)
    except OSError as exc:
        if exc.errno == errno.ENXIO:
            return None
        if exc.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # the file system does not report holes: all is data
            return start if whence == os.SEEK_DATA else None
        raise


def _data(fd: int, start: int, end: int) -> Iterator[Chunk]:
    while start < end and (text := os.pread(fd, min(end - start, lines.MAX_BLOCK), start)):
        start += len(text)
        yield Chunk(text, start)


def _hole(start: int, end: int) -> Iterator[Chunk]:
    size = lines.MAX_LINE
    # Whole pieces are left out, so that everything after the hole is cut into pieces at the same places.
    start += max(0, (end - start) // size - _PIECES_OF_A_HOLE) * size
    while start < end:
        text = bytes(min(end - start, lines.MAX_BLOCK))
        start += len(text)
        yield Chunk(text, start)
