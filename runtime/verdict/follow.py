"""`LogFollower`: has a log that is still being written a line that a fail pattern matches? Blocks: for threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import attrs

from runtime.verdict.file import BUDGET, LogPath, open_log
from runtime.verdict.judge import LogJudge, LogPatterns
from runtime.verdict.prefilter import best_engine
from runtime.verdict.sparse import read_chunks
from runtime.verdict.worker import Workers

_LOOK: Final = 10.0
"""Seconds after which a look ends, to go on with the next one: others want its thread, too. Arbitrary."""


class LogFollower:
    """Reads on where it stopped. A line counts when its end is written.

    Args:
        path: where the log is.
        patterns: whose fail patterns to look for.
        workers: where a process comes from, if a pattern needs one; it is kept until `close`.
        budget: seconds of processor time that this process may take in all.
        wall: tells the time, in seconds; `None` if a look may take any time.
    """

    def __init__(
        self,
        path: LogPath,
        patterns: LogPatterns,
        workers: Workers,
        budget: float = BUDGET,
        wall: Callable[[], float] | None = None,
    ) -> None:
        self._path = path
        self._wall = wall or (lambda: 0.0)
        failing = attrs.evolve(patterns, passing=(), runtime=None, simulated_time=None)
        self._judge = LogJudge(failing, lambda found: best_engine(found, workers, budget))
        self._offset = 0
        self._lock = threading.Lock()
        self._unwanted = False

    def look(self) -> bool:
        """Read what is new, as far as that goes in a while; return whether a fail pattern has matched.

        Raises:
            OSError: as `judge_log`.
            JudgingError: as `judge_log`.
        """
        try:
            with self._lock, open_log(self._path) as (fd, status):
                until = self._wall() + _LOOK
                for chunk in () if self._is_over() else read_chunks(fd, self._offset, status):
                    self._judge.feed(chunk.text)
                    self._offset = chunk.end
                    if self._is_over() or self._wall() > until:
                        break
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

    def _is_over(self) -> bool:
        return self._judge.has_failed or self._unwanted
