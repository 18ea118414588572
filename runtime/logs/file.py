"""Reading a log that another process wrote, and may have replaced by anything at all. Blocks: for threads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runtime.logs.judge import MAX_BLOCK, TAIL_LINES, Judgement, LogJudge, LogPatterns, show

MAX_LOG: Final = 64 << 30
"""Bytes. A log above this (a sparse file, say) is refused; reading it would take minutes. Out of the air."""

_TAIL_BYTES: Final = 1 << 16


def judge_log(path: str, patterns: LogPatterns) -> Judgement:
    """Judge the log at `path`, up to the size that it has now.

    Raises:
        OSError: if it cannot be read, or is no regular file; symbolic links are not followed.
    """
    judge = LogJudge(patterns)
    with _opened(path) as (fd, size):
        left = size
        while left > 0 and (chunk := os.read(fd, min(left, MAX_BLOCK))):
            judge.feed(chunk)
            left -= len(chunk)
    return judge.finish()


def read_tail(path: str) -> Judgement:
    """Return the end of the log at `path`, and nothing else; cheap, whatever its size.

    Raises:
        OSError: as for `judge_log`.
    """
    with _opened(path) as (fd, size):
        start = max(0, size - _TAIL_BYTES)
        text = os.pread(fd, _TAIL_BYTES, start)
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    if start:
        del lines[:1]  # the end of a line
    return Judgement(tail=tuple(show(line.removesuffix(b"\r")) for line in lines[-TAIL_LINES:]))


@contextmanager
def _opened(path: str) -> Iterator[tuple[int, int]]:
    """Open a regular file, without waiting for a FIFO's writer; give its descriptor and its size."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            msg = f"{path!r} is no regular file"
            raise OSError(msg)
        if status.st_size > MAX_LOG:
            msg = f"{path!r} has {status.st_size} bytes; at most {MAX_LOG} are judged"
            raise OSError(msg)
        yield fd, status.st_size
    finally:
        os.close(fd)
