"""`LogFollower`: has a log that is still being written a line that a fail pattern matches? Blocks: for threads."""

from __future__ import annotations

import os
import threading

import attrs

from runtime.logs.file import BUDGET, LogPath, open_log
from runtime.logs.judge import LogJudge, LogPatterns
from runtime.logs.lines import MAX_BLOCK
from runtime.logs.prefilter import best_engine
from runtime.logs.worker import Workers


class LogFollower:
    """Reads on where it stopped. A line counts when its end is written.

    Args:
        path: where the log is.
        patterns: whose fail patterns to look for.
        workers: where a process comes from, if a pattern needs one; it is kept until `close`.
        budget: seconds of processor time that this process may take in all.
    """

    def __init__(self, path: LogPath, patterns: LogPatterns, workers: Workers, budget: float = BUDGET) -> None:
        self._path = path
        failing = attrs.evolve(patterns, passing=(), runtime=None, simulated_time=None)
        self._judge = LogJudge(failing, lambda found: best_engine(found, workers, budget))
        self._offset = 0
        self._lock = threading.Lock()
        self._unwanted = False

    def look(self) -> bool:
        """Read what is new; return whether a fail pattern has matched.

        Raises:
            OSError: as `judge_log`.
            JudgingError: as `judge_log`.
        """
        try:
            with self._lock, open_log(self._path) as (fd, size):
                while self._offset < size and not self._judge.has_failed and not self._unwanted:
                    chunk = os.pread(fd, min(size - self._offset, MAX_BLOCK), self._offset)
                    if not chunk:
                        break
                    self._judge.feed(chunk)
                    self._offset += len(chunk)
                return self._judge.has_failed
        finally:
            if self._unwanted:
                self.close()

    def close(self) -> None:
        """Look no more. Whoever looks in another thread right now ends soon. Does not block."""
        self._unwanted = True
        if self._lock.acquire(blocking=False):
            try:
                self._judge.close()
            finally:
                self._lock.release()
