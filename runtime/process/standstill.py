"""`Standstill`: for how long we and a witness stood still together, and so the jobs, too.

The process that runs jobs may be stopped with all of them: in a frozen cgroup, by ``docker pause``, when a virtual
machine is suspended, by somebody who sends SIGSTOP to all. Nobody tells. That its event loop has not run for a minute
says nothing: other people's code may have held it up, while the jobs ran on. So there is a witness, another process
that has nothing else to do. If neither has run, nobody has.

Values only: times are seconds of a clock that both have.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_KEPT: Final = 16
"""Intervals of each side that are kept for comparison. Arbitrary: what one side reports, the other does soon after."""


class Standstill:
    """Compares when each of two processes stood still. The intervals of one side do not overlap."""

    def __init__(self) -> None:
        self._ours: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._theirs: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def add_ours(self, begin: float, end: float) -> float:
        """Take an interval in which we did not run; return the seconds of it in which the witness did not, either.

        Of two intervals the time that they share is returned once: by whichever call comes second.
        """
        self._ours.append((begin, end))
        return _shared((begin, end), self._theirs)

    def add_theirs(self, begin: float, end: float) -> float:
        """The same for an interval in which the witness did not run."""
        self._theirs.append((begin, end))
        return _shared((begin, end), self._ours)


def _shared(interval: tuple[float, float], others: deque[tuple[float, float]]) -> float:
    begin, end = interval
    return sum(max(0.0, min(end, last) - max(begin, first)) for first, last in others)
