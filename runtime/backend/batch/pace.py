"""When is the queue asked next? Pure.

Every question costs the controller, which many share, and every moment without one is a moment in which an end is not
seen. So the pause is `shortest` as long as answers bring news, grows while they do not, and is never less than a few
times what the last answer took. When the system does not answer, it is left alone: after a few quick tries the circuit
is open, nothing but one question a minute reaches it, and nothing is submitted.
"""

from __future__ import annotations

from typing import Final

_GROWTH: Final = 1.25
"""By how much a pause grows that brought no news. Arbitrary."""
_SLOWEST: Final = 5
"""The longest pause between answers, in shortest ones. Arbitrary."""
_LOAD: Final = 4
"""A pause lasts at least so many times what the answer took: at most a fifth of the controller's time. Arbitrary."""
_TRIES: Final = 3
"""Questions in a row without an answer until the circuit is open. Arbitrary."""
OPEN_PAUSE: Final = 60.0
"""Seconds between two questions to a system that does not answer. Arbitrary."""


class Pace:
    """The pauses between questions.

    Args:
        shortest: seconds, above 0.
    """

    def __init__(self, shortest: float) -> None:
        self._shortest = shortest
        self._pause = shortest
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether the system is taken to be down: it is asked now and then, and for nothing else."""
        return self._failures >= _TRIES

    @property
    def pause(self) -> float:
        """Seconds from the end of the last question to the next."""
        if self.is_open:
            return max(OPEN_PAUSE, self._pause)
        return self._pause * 2.0**self._failures

    def answered(self, took: float, *, changed: bool) -> None:
        """Take note of an answer, of the seconds it took, and of whether anything in it was new."""
        self._failures = 0
        grown = self._shortest if changed else min(self._pause * _GROWTH, self._shortest * _SLOWEST)
        self._pause = max(grown, took * _LOAD)

    def failed(self) -> None:
        """Take note of a question without an answer."""
        self._failures += 1

    def hurry(self) -> None:
        """Expect news soon."""
        self._pause = self._shortest
