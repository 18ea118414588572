"""The judgement of a log file, which the job may have replaced by any other kind of file. Blocks: for threads."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Final

from runtime.job import JobSpec
from runtime.job.sizes import size_text
from runtime.roots import RootedPath
from runtime.verdict.combined import CombinedEngine
from runtime.verdict.explaining_judge import judge_for
from runtime.verdict.judge import TAIL_LINES, Judgement, LogPatterns, to_text
from runtime.verdict.lines import read_blocks, visible_part
from runtime.verdict.log import LineNumbers, LogText
from runtime.verdict.prefilter import best_engine
from runtime.verdict.sparse import LogFile
from runtime.verdict.worker import JudgingError, Workers

MAX_LOG: Final = 64 << 30
"""Bytes of the largest log that is judged, holes included. Arbitrary: reading it takes minutes already; ten times less,
and real logs would be refused."""

BUDGET: Final = 10.0
"""Seconds of processor time that judging a log may take, however short the log is. Arbitrary: ten times more, and a bad
pattern in each of 10,000 jobs costs days; ten times less, and a slow machine would fail good jobs."""

BUDGET_RATE: Final = 2 << 20
"""Bytes of data in a log that add a second to the budget: a tenth of what Python's `re` searches in a second with usual
patterns."""

_WALL_TIMEOUT: Final = 60.0
"""Seconds on the wall clock that judging a log may take, to which `_WALL_TIMEOUT_FACTOR` times its budget is added.
Arbitrary: ten times less, and a busy machine or a slow file system would fail good jobs; ten times more, and a hung one
would hold one of the few threads that judge."""

_WALL_TIMEOUT_FACTOR: Final = 10.0
"""Seconds on the wall clock for each second of the budget. Arbitrary: a thread may get a tenth of a processor."""

_MAX_STEP: Final = 5.0
"""Seconds of the wall clock that one block counts for at most: in a longer step this process itself was stopped, by
Ctrl-Z, say. Arbitrary: ten times more, and one such stop would use up the timeout; ten times less, and a slow file
system would look like a stop."""

LogPath = str | RootedPath
"""Where a log is: a path, or a path below a root, which no symbolic link leads out of."""

_TAIL_BYTES: Final = 1 << 16
"""Bytes that `read_tail` reads. Arbitrary: ten times less, and ten long lines do not fit; ten times more is slower."""

_ATTEMPTS: Final = 3
"""How often a log is opened at most, after errors of `_TRANSIENT`. Arbitrary: many more, and a broken file system is
asked again and again."""

_TRANSIENT: Final = frozenset({errno.EIO, errno.ESTALE})
"""Errors that opening the file again may resolve: of a network file system, and of a log that was cut meanwhile."""


class TooLongError(Exception):
    """A log is longer than `judge_log` was allowed to read."""


def stopped_clock() -> float:
    """A clock that stands still: no limit is ever reached."""
    return 0.0


def judge_log(
    path: LogPath,
    patterns: LogPatterns,
    workers: Workers | None = None,
    *,
    budget: float = BUDGET,
    clock: Callable[[], float] = stopped_clock,
    wall: Callable[[], float] = stopped_clock,
    longest: int | None = None,
    numbered: bool = True,
) -> Judgement:
    """Judge the log at `path`, up to the size that it has now.

    Args:
        path: where it is.
        patterns: what to look for.
        workers: the pool of worker processes, for a pattern that needs one; `None` for a pool that ends with this call.
        budget: seconds of processor time, to which the data of the log adds (`BUDGET_RATE`); its holes do not.
        clock: tells the processor time of this thread, in seconds; the default stands still, for no limit.
        wall: tells the time on the wall clock, in seconds; the default stands still, for no limit.
        longest: bytes of the longest log that is read at all; `None` for no limit.
        numbered: see `LogJudge.finish`.

    Raises:
        TooLongError: if it has more than `longest` bytes.
        OSError: if it cannot be read, or is no regular file; symbolic links are not followed.
        JudgingError: if it took longer than the budget, or far longer on the wall clock, because reading it is slow.
    """

    def judge_once() -> Judgement:
        with open_log(path) as (fd, status), closing(Workers()) as own:
            if longest is not None and status.st_size > longest:
                raise TooLongError
            log = LogFile(fd, status)
            whole_budget = budget + log.data_size() / BUDGET_RATE
            limits = _Limits(whole_budget, clock, wall)
            pool = workers or own
            with closing(judge_for(patterns, lambda compiled: best_engine(compiled, pool, whole_budget))) as judge:
                # Up to the size at the time of opening: a process that the job left behind may write for ever.
                for block in read_blocks(log, raw=patterns.raw_lines):
                    judge.take(block)
                    limits.check(log.size - block.next.offset)
                return judge.finish(LineNumbers(log), numbered=numbered)

    for _ in range(_ATTEMPTS - 1):
        try:
            return judge_once()
        except OSError as exc:
            if exc.errno not in _TRANSIENT:
                raise
    return judge_once()


class _Limits:
    """The two limits of judging one log: processor time, and time on the wall clock."""

    def __init__(self, budget: float, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._budget, self._clock, self._wall = budget, clock, wall
        self._deadline = clock() + budget
        self._wall_timeout = _WALL_TIMEOUT + _WALL_TIMEOUT_FACTOR * budget
        self._elapsed, self._last = 0.0, wall()

    def check(self, left: int) -> None:
        """Raise `JudgingError` if a limit is exceeded; `left` bytes are still to be judged."""
        if self._clock() > self._deadline:
            raise JudgingError(f"judging exceeded its budget of {self._budget:.3g} s, {left} bytes before the end")
        now = self._wall()
        # Not `now - start`: after Ctrl-Z and `fg` every log that was being read would be over its limit.
        self._elapsed += min(now - self._last, _MAX_STEP)
        self._last = now
        if self._elapsed > self._wall_timeout:
            msg = f"judging took longer than {self._wall_timeout:.3g} s, {left} bytes before the end: reading is slow"
            raise JudgingError(msg)


def judge_text(text: bytes, patterns: LogPatterns, *, numbered: bool = True) -> Judgement:
    """Judge a log that is in memory. For `are_linear` patterns: others may take long, or need a process.

    Without patterns the judgement is that of `read_tail`.

    Args:
        text: the log.
        patterns: what to look for.
        numbered: see `LogJudge.finish`.
    """
    if not patterns:
        return _tail_of(text, raw=patterns.raw_lines)
    with closing(Workers()) as none_needed:
        engine = partial(CombinedEngine, workers=none_needed, budget=BUDGET)
        with closing(judge_for(patterns, engine)) as judge:
            log = LogText(text)
            for block in read_blocks(log, raw=patterns.raw_lines):
                judge.take(block)
            return judge.finish(LineNumbers(log), numbered=numbered)


def read_tail(path: LogPath, *, raw: bool = False) -> Judgement:
    """Return a judgement with the last lines of the log at `path` alone; cheap, whatever its size.

    Args:
        path: where it is.
        raw: whether lines are shown as they are, as with `JobSpec.raw_lines`.

    Raises:
        OSError: as for `judge_log`.
    """
    with open_log(path) as (fd, status):
        start = max(0, status.st_size - _TAIL_BYTES)
        text = os.pread(fd, _TAIL_BYTES, start)
    return _tail_of(text, raw=raw, begins_in_a_line=start > 0)


def _tail_of(text: bytes, *, raw: bool, begins_in_a_line: bool = False) -> Judgement:
    if begins_in_a_line:  # the rest of that line would be shown as a whole one
        end = re.search(rb"\n" if raw else rb"[\r\n]", text)
        text = b"" if end is None else text[end.end() :]
    lines = text.removesuffix(b"\n").split(b"\n")[-TAIL_LINES:] if text else []
    return Judgement(tail=tuple(to_text(line if raw else visible_part(line)) for line in lines))


def too_large(job: JobSpec, path: LogPath) -> str | None:
    """Return the failure message for a log larger than `max_log`; `None` for another, or if it is missing. Blocks."""
    if job.max_log is not None:
        with suppress(OSError):
            size = (os.lstat(path) if isinstance(path, str) else path.status()).st_size
            if size > job.max_log:
                return f"its log has {size_text(size)}; expected at most {size_text(job.max_log)} (max_log)"
    return None


def log_status(path: LogPath) -> os.stat_result:
    """Return the status of a log. It is opened for that: a network file system then asks its server. Blocks.

    Raises:
        OSError: if it cannot be opened, or is no regular file; symbolic links are not followed.
    """
    with open_log(path) as (_, status):
        return status


def last_line(path: LogPath, *, raw: bool = False) -> str:
    """Return the last line of a log that is not blank; empty if there is none among the last ones. Blocks.

    Args:
        path: where it is.
        raw: whether it is shown as it is, as with `JobSpec.raw_lines`.

    Raises:
        OSError: as for `log_status`.
    """
    lines = (line.strip() for line in reversed(read_tail(path, raw=raw).tail))
    return next((line for line in lines if line), "")


def real_path(path: LogPath) -> str:
    """Return the path of a log; of one below a root, the absolute path without symbolic links."""
    return path if isinstance(path, str) else path.real


@contextmanager
def open_log(path: LogPath) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file; yield its descriptor and its status."""
    if isinstance(path, str):
        # A job may have put anything there: O_NONBLOCK, so as not to wait for the writer of a FIFO.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    else:
        fd = path.open_regular()
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path!r} is no regular file; expected the log of the job")
        if status.st_size > MAX_LOG:
            raise OSError(f"{path!r} has {status.st_size} bytes; expected at most {MAX_LOG}")
        yield fd, status
    finally:
        os.close(fd)
