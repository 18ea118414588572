"""`LogFollower`: whether a fail pattern has matched in a log that is still being written. Blocks: for threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

import attrs

from runtime.verdict.file import BUDGET, LogPath, open_log, stopped_clock
from runtime.verdict.judge import LogJudge, LogPatterns
from runtime.verdict.lines import Position, read_blocks
from runtime.verdict.prefilter import best_engine
from runtime.verdict.sparse import LogFile
from runtime.verdict.worker import Workers

_MAX_LOOK: Final = 10.0
"""Seconds after which a look ends; the next one continues there. Arbitrary: ten times more, and one huge log would keep
the other jobs' logs waiting for its thread; ten times less, and following it would need more looks."""


class LogFollower:
    """Looks for fail patterns in a log that grows. Each look reads from where the last one stopped.

    A line counts when its end is written. A log that is cut, or replaced, is read from its beginning; what was written
    and cut between two looks is not seen.

    Args:
        path: where the log is.
        patterns: those of the job, of which the fail patterns are used.
        workers: the pool of worker processes; one that a pattern needs is kept until `close`.
        budget: seconds of processor time that the worker may take for all looks together.
        wall: tells the time on the wall clock, in seconds; the default stands still, for no limit.
    """

    def __init__(
        self,
        path: LogPath,
        patterns: LogPatterns,
        workers: Workers,
        budget: float = BUDGET,
        wall: Callable[[], float] = stopped_clock,
    ) -> None:
        self._path = path
        self._wall = wall
        failing = attrs.evolve(patterns, passing=(), runtime=None, simulated_time=None)
        self._judge = LogJudge(failing, lambda found: best_engine(found, workers, budget))
        self._raw = patterns.raw_lines
        self._position = Position()
        self._file: tuple[int, int] | None = None
        self._size = 0  # at the last look
        self._lock = threading.Lock()
        self._closed = False

    def look(self) -> bool:
        """Read what is new, for at most `_MAX_LOOK` seconds; return whether a fail pattern has matched.

        Raises:
            OSError: as `judge_log`.
            JudgingError: as `judge_log`.
        """
        try:
            with self._lock, open_log(self._path) as (fd, status):
                self._begin_again_if_replaced(status)
                until = self._wall() + _MAX_LOOK
                log = LogFile(fd, status)
                for block in () if self._is_done() else read_blocks(log, self._position, raw=self._raw, ended=False):
                    self._judge.take(block)
                    self._position = block.next
                    if self._is_done() or self._wall() > until:
                        break
                return self._judge.has_failed
        finally:
            if self._closed:  # by another thread during this look, which could not take the lock
                self.close()

    def close(self) -> None:
        """Stop looking. A look in another thread ends with its current block. Does not block."""
        self._closed = True  # before the lock is tried: a look that holds it sees this when it has released it
        if self._lock.acquire(blocking=False):
            try:
                self._judge.close()
            finally:
                self._lock.release()

    def _begin_again_if_replaced(self, status: os.stat_result) -> None:
        """Read from the beginning if the log is another file, or is shorter than at the last look: it was cut."""
        file = status.st_dev, status.st_ino
        if file != self._file or status.st_size < self._size:
            self._position = Position()
        self._file, self._size = file, status.st_size

    def _is_done(self) -> bool:
        return self._judge.has_failed or self._closed
