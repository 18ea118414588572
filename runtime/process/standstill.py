"""`Standstill`: how long this process and a witness stood still at the same time, and so the jobs, too.

The process that runs jobs may be stopped together with them: in a frozen cgroup, by ``docker pause``, in a suspended
virtual machine, or by SIGSTOP to all of them. The system does not report that. An event loop that has not run for a
minute proves nothing: a callback of other code may have held it up while the jobs ran. So there is a witness, another
process that has nothing else to do. If both stood still, the jobs are taken to have stood still as well.

Values only: times are seconds of a clock that both have.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_KEPT: Final = 16
"""Intervals of each side that are kept for comparison. Arbitrary: both sides report a standstill soon after it."""


class Standstill:
    """Compares when two processes stood still. The intervals of one side do not overlap."""

    def __init__(self) -> None:
        self._ours: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._theirs: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def add_ours(self, begin: float, end: float) -> float:
        """Add an interval in which this process did not run; return the seconds in which neither did the witness.

        The common time of two intervals is returned once, by the later of the two calls.
        """
        self._ours.append((begin, end))
        return _shared((begin, end), self._theirs)

    def add_theirs(self, begin: float, end: float) -> float:
        """As `add_ours`, for an interval in which the witness did not run."""
        self._theirs.append((begin, end))
        return _shared((begin, end), self._ours)


def _shared(interval: tuple[float, float], others: deque[tuple[float, float]]) -> float:
    begin, end = interval
    return sum(max(0.0, min(end, last) - max(begin, first)) for first, last in others)
