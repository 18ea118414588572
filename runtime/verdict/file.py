"""Reading a log that another process wrote, and may have replaced by anything at all. Blocks: for threads."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from typing import Final

from runtime.roots import RootedPath
from runtime.verdict.combined import CombinedEngine
from runtime.verdict.judge import TAIL_LINES, Judgement, LogJudge, LogPatterns, show
from runtime.verdict.lines import shown
from runtime.verdict.prefilter import best_engine
from runtime.verdict.sparse import data_size, read_chunks
from runtime.verdict.worker import JudgingError, Workers

MAX_LOG: Final = 64 << 30
"""Bytes. A log above this is refused, holes or not; reading it would take minutes. Arbitrary."""

BUDGET: Final = 10.0
"""Seconds of processor time that judging a log may take, however short that is. Arbitrary."""

BUDGET_RATE: Final = 2 << 20
"""Bytes to read of a log that add a second to that: a tenth of what Python's `re` does with usual patterns."""

_PATIENCE: Final = 60.0
"""Seconds by the clock that judging a log may take, and `_PATIENCE_FACTOR` for each second of its budget. Arbitrary: a
machine may be busy, and a file system slow; but a thread that judges is one of few."""

_PATIENCE_FACTOR: Final = 10.0

_MAX_STEP: Final = 5.0
"""Seconds that one block counts for at most: more than that, this process was stopped (Ctrl-Z, say). Arbitrary."""

LogPath = str | RootedPath
"""Where a log is: a path, or one below a root, of which no part is followed anywhere else."""

_TAIL_BYTES: Final = 1 << 16

_ATTEMPTS: Final = 3
_PASSING: Final = frozenset({errno.EIO, errno.ESTALE})
"""Errors of a file that lives elsewhere; opened anew, it may be there again."""


class TooLongError(Exception):
    """A log is longer than its reader wants."""


def judge_log(
    path: LogPath,
    patterns: LogPatterns,
    workers: Workers | None = None,
    *,
    budget: float = BUDGET,
    clock: Callable[[], float] | None = None,
    wall: Callable[[], float] | None = None,
    longest: int | None = None,
) -> Judgement:
    """Judge the log at `path`, up to the size that it has now.

    Args:
        path: where it is.
        patterns: what to look for.
        workers: where a process comes from, if a pattern needs one; `None` for one that is ended with this call.
        budget: seconds of processor time, to which what there is to read adds (`BUDGET_RATE`); holes do not.
        clock: tells the processor time of this thread, in seconds; `None` if that need not be limited.
        wall: tells the time, in seconds; `None` if that need not be limited.
        longest: bytes beyond which nothing is read; `None` for no limit.

    Raises:
        TooLongError: if it has more than `longest` bytes.
        OSError: if it cannot be read, or is no regular file; symbolic links are not followed.
        JudgingError: if it took longer than the budget, or by far longer by the clock, as where reading is slow.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _judge_once(path, patterns, workers, budget, clock, wall, longest)
        except OSError as exc:
            if exc.errno not in _PASSING:
                raise
    return _judge_once(path, patterns, workers, budget, clock, wall, longest)


def _judge_once(
    path: LogPath,
    patterns: LogPatterns,
    workers: Workers | None,
    budget: float,
    clock: Callable[[], float] | None,
    wall: Callable[[], float] | None,
    longest: int | None,
) -> Judgement:
    with open_log(path) as (fd, status), closing(Workers()) as own:
        if longest is not None and status.st_size > longest:
            raise TooLongError
        budget += data_size(fd, status) / BUDGET_RATE
        limits = _Limits(budget, clock or _stopped, wall or _stopped)
        pool = workers or own
        with closing(LogJudge(patterns, lambda compiled: best_engine(compiled, pool, budget))) as judge:
            for chunk in read_chunks(fd, 0, status):
                judge.feed(chunk.text)
                limits.check(status.st_size - chunk.end)
            return judge.finish()


class _Limits:
    """Says when judging a log has taken too long."""

    def __init__(self, budget: float, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._budget, self._clock, self._wall = budget, clock, wall
        self._deadline = clock() + budget
        self._patience = _PATIENCE + _PATIENCE_FACTOR * budget
        self._waited, self._last = 0.0, wall()

    def check(self, left: int) -> None:
        """Raise if it has; `left` bytes are still to be judged."""
        if self._clock() > self._deadline:
            msg = f"judging exceeded its budget of {self._budget:.3g} s, {left} bytes before the end"
            raise JudgingError(msg)
        now = self._wall()
        self._waited += min(now - self._last, _MAX_STEP)
        self._last = now
        if self._waited > self._patience:
            msg = f"judging took longer than {self._patience:.3g} s, {left} bytes before the end: reading it is slow"
            raise JudgingError(msg)


def _stopped() -> float:
    return 0.0


@lru_cache(maxsize=256)
def judge_text(text: bytes, patterns: LogPatterns) -> Judgement:
    """Judge a log that is here already. For `are_linear` patterns: others may take long, or need a process.

    Of no patterns it says what `read_tail` does. It remembers the last texts: of short logs many are the same.
    """
    if not patterns:
        return _tail_of(text, raw=patterns.raw_lines)
    with closing(Workers()) as none_needed:
        engine = partial(CombinedEngine, workers=none_needed, budget=BUDGET)
        with closing(LogJudge(patterns, engine)) as judge:
            judge.feed(text)
            return judge.finish()


def read_tail(path: LogPath, *, raw: bool = False) -> Judgement:
    """Return the end of the log at `path`, and nothing else; cheap, whatever its size.

    Args:
        path: where it is.
        raw: whether lines are shown as they are: `JobSpec.raw_lines`.

    Raises:
        OSError: as for `judge_log`.
    """
    with open_log(path) as (fd, status):
        start = max(0, status.st_size - _TAIL_BYTES)
        text = os.pread(fd, _TAIL_BYTES, start)
    return _tail_of(text, raw=raw, begins_in_a_line=start > 0)


def _tail_of(text: bytes, *, raw: bool, begins_in_a_line: bool = False) -> Judgement:
    if begins_in_a_line:
        end = re.search(rb"\n" if raw else rb"[\r\n]", text)
        text = b"" if end is None else text[end.end() :]
    lines = text.removesuffix(b"\n").split(b"\n")[-TAIL_LINES:] if text else []
    return Judgement(tail=tuple(show(line if raw else shown(line)) for line in lines))


def size_of(path: LogPath) -> int:
    """Return how many bytes there are.

    Raises:
        OSError: if that cannot be found out.
    """
    return (os.lstat(path) if isinstance(path, str) else path.status()).st_size


def real_path(path: LogPath) -> str:
    """Return the path of a log without links."""
    return path if isinstance(path, str) else path.real


@contextmanager
def open_log(path: LogPath) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file, without waiting for a FIFO's writer; give its descriptor and its status."""
    if isinstance(path, str):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    else:
        fd = path.open_regular()
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            msg = f"{path!r} is no regular file"
            raise OSError(msg)
        if status.st_size > MAX_LOG:
            msg = f"{path!r} has {status.st_size} bytes; at most {MAX_LOG} are judged"
            raise OSError(msg)
        yield fd, status
    finally:
        os.close(fd)
