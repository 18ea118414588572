"""`Backoff`: how many jobs a backend may be offered now, and when it is asked again after it was busy.

A busy backend is not asked for a delay, which doubles each time; then it is offered a window of jobs, which doubles
while it accepts them.
"""

from __future__ import annotations

import math
from typing import Final

FIRST_DELAY: Final = 0.05
"""Seconds until a backend that was busy once is asked again. Arbitrary: ten times longer, a short shortage of processes
idles the machine for half a second; ten times shorter, a batch system's command is called 200 times a second."""
LONGEST_DELAY: Final = 10.0
"""The longest delay between two attempts at a busy backend, in seconds. Arbitrary: if it were ten times longer, a
backend would idle for up to 100 s after it can take jobs again; ten times shorter, a batch system's command would be
called without need."""


class Backoff:
    """How much is offered to one backend.

    Args:
        batch: how many jobs may be offered to it at once, `None` for no limit.
    """

    def __init__(self, batch: int | None) -> None:
        self._batch = math.inf if batch is None else batch
        self._window = self._batch
        """How many jobs may be offered to it at once; fewer after it was busy."""
        self._offered = 0
        """How many jobs it was offered and has not answered."""
        self._delay = FIRST_DELAY
        """Seconds until it is asked again if it is busy now."""
        self.retry_at: float = -math.inf
        """When it may be asked again; in the past unless it is busy."""

    def free(self, now: float) -> float:
        """Return how many jobs it may be offered now."""
        return 0 if now < self.retry_at else self._window - self._offered

    def offer(self, jobs: int) -> None:
        """Count jobs that it is being offered."""
        self._offered += jobs

    def withdraw(self, jobs: int) -> None:
        """Count jobs off that it was offered, but that were not submitted, or whose submission raised."""
        self._offered -= jobs

    def answered(self, accepted: int, refused: int, now: float) -> None:
        """Take note of how many of the offered jobs the backend accepted, and how many it refused as it is busy."""
        self._offered -= accepted + refused
        if refused:
            self.retry_at = now + self._delay
            self._delay = min(2 * self._delay, LONGEST_DELAY)
            self._window = max(1, accepted)  # as many as it could take: more would be refused again
        else:
            self._delay = FIRST_DELAY
            self._window = min(2 * self._window, self._batch)

    def slot_freed(self) -> None:
        """End the delay: one of its jobs has ended, so it is worth asking again."""
        self.retry_at = -math.inf
