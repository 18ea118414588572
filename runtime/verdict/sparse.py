"""Reading a file without reading its holes. Blocks: for threads.

A hole is what was never written, as when somebody truncates a file to a larger size, or to none while its writer goes
on where it was. It reads as NUL bytes, at the speed of memory, and 63 GiB of it cost nothing to make. To patterns it is
what it reads as: NUL bytes of the line in which it is. But such a line is judged in pieces of `MAX_LINE`, and of those
that are NUL bytes alone one says what all of them say. So of a long hole a few pieces are given, as many as leave
everything after it where it would be; the judgement is the same, byte by byte.
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
"""At least one of so many is a piece of NUL bytes alone, wherever the hole begins in a piece."""

_MAX_COUNTED: Final = 10_000
"""Pieces of data whose sizes are added up. Arbitrary: counting them takes some milliseconds; of a log that has more, a
hostile one, what is beyond them earns no time."""

_STAT_BLOCK: Final = 512
"""Bytes of what `os.stat_result.st_blocks` counts."""


@attrs.frozen
class Chunk:
    """Some bytes of a file."""

    text: bytes
    end: int
    """Where they end in the file."""


def data_size(fd: int, status: os.stat_result) -> int:
    """Return how many bytes of a file there are to read; fewer, if it has more than `_MAX_COUNTED` holes."""
    if not _may_have_holes(status):
        return status.st_size
    found = itertools.islice(_extents(fd, 0, status.st_size), _MAX_COUNTED)
    return sum(end - start for start, end in found)


def read_chunks(fd: int, start: int, status: os.stat_result) -> Iterator[Chunk]:
    """Give the bytes of a file from `start` to the size that it had; of long holes, fewer.

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
    yield from _hole(start, min(end, os.fstat(fd).st_size))


def _may_have_holes(status: os.stat_result) -> bool:
    """Whether to ask for them. Also true where data is compressed; then there is none to be found."""
    return status.st_blocks * _STAT_BLOCK < status.st_size


def _extents(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Give where data begins and ends, between `start` and `end`."""
    while start < end:
        data = _seek(fd, start, os.SEEK_DATA)
        if data is None or data >= end:
            return
        hole = _seek(fd, data, os.SEEK_HOLE)
        start = end if hole is None else min(end, hole)
        yield data, start


def _seek(fd: int, start: int, whence: int) -> int | None:
    """Return where the next data, or the next hole, begins; `None` if there is none before the end of the file."""
    try:
        return os.lseek(fd, start, whence)
    except OSError as exc:
        if exc.errno == errno.ENXIO:
            return None
        if exc.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # what the file system cannot tell is data
            return start if whence == os.SEEK_DATA else None
        raise


def _data(fd: int, start: int, end: int) -> Iterator[Chunk]:
    while start < end and (text := os.pread(fd, min(end - start, lines.MAX_BLOCK), start)):
        start += len(text)
        yield Chunk(text, start)


def _hole(start: int, end: int) -> Iterator[Chunk]:
    size = lines.MAX_LINE
    start += max(0, (end - start) // size - _PIECES_OF_A_HOLE) * size
    while start < end:
        text = bytes(min(end - start, lines.MAX_BLOCK))
        start += len(text)
        yield Chunk(text, start)
