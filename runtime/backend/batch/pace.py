"""When is the queue asked next? Pure.

Each query costs the controller, which many users share; each second without one delays the sight of an end. So the
pause is `shortest` while listings show changes, grows while they do not, and is never less than a few times what the
last query took. If the system does not answer, a circuit breaker opens after a few quick tries: the system gets one
query a minute, and nothing is submitted, until it answers.
"""

from __future__ import annotations

from typing import Final

_GROWTH: Final = 1.25
"""The factor by which a pause grows after a listing without a change. Arbitrary: ten times more, and the first quiet
tick makes the pause the longest; at 1, the queue is asked at full rate all night."""
_SLOWEST: Final = 5
"""The longest pause, in multiples of the shortest. Arbitrary: with ten times as many, an end is seen up to 100 s
late."""
_LOAD: Final = 4
"""The shortest pause, in multiples of what the last query took: we take at most a fifth of the controller's time.
Arbitrary."""
_TRIES: Final = 3
"""Queries without an answer, in a row, that open the circuit. Arbitrary: one lost answer must not stop submission."""
OPEN_PAUSE: Final = 60.0
"""Seconds between two queries while the circuit is open. Arbitrary: ten times longer, and the run stands still for ten
minutes after the controller is back; ten times shorter, and every run of the site loads a controller that restarts."""


class Pace:
    """The pauses between queries.

    Args:
        shortest: the shortest pause, in seconds; above 0.
    """

    def __init__(self, shortest: float) -> None:
        self._shortest = shortest
        self._pause = shortest
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open: the system is taken to be down, and gets a query a minute and nothing else."""
        return self._failures >= _TRIES

    @property
    def pause(self) -> float:
        """Seconds from the end of the last query to the next."""
        if self.is_open:
            return max(OPEN_PAUSE, self._pause)
        return self._pause * 2.0**self._failures  # one lost answer is common: try again soon, then less and less often

    def answered(self, took: float, *, changed: bool) -> None:
        """Record an answer that took so many seconds; `changed` tells whether it changed anything."""
        self._failures = 0
        grown = self._shortest if changed else min(self._pause * _GROWTH, self._shortest * _SLOWEST)
        self._pause = max(grown, took * _LOAD)

    def failed(self) -> None:
        """Record a query without an answer."""
        self._failures += 1

    def hurry(self) -> None:
        """Make the next pause a short one, as a change is expected."""
        self._pause = self._shortest
