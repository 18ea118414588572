"""`MeanOverTime`: how much of something was in use, as means over equal parts of a time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

PARTS: Final = 1000
"""Parts of a run: about the pixels of a screen. Arbitrary: ten times more take ten times the space in a file and look
the same; ten times fewer hide the minutes of a night."""


class MeanOverTime:
    """How much was in use. It takes the same memory however much is added.

    Args:
        end: of the time, which begins at 0, in microseconds.
        parts: how many means there are.
    """

    def __init__(self, end: int, parts: int = PARTS) -> None:
        self._width = max(1, -(-end // parts))
        count = end // self._width + 1
        self._areas = [0.0] * count
        """Amount times microseconds, of what was in use in a part of each."""
        self._changes = [0.0] * (count + 1)
        """By how much what was in use for the whole of a part differs from the part before."""

    def add(self, start: int, end: int, amount: float) -> None:
        """Add an amount that was in use from `start` to `end`, both within the time."""
        first, last = start // self._width, end // self._width
        if first == last:
            self._areas[first] += amount * (end - start)
            return
        self._areas[first] += amount * ((first + 1) * self._width - start)
        self._areas[last] += amount * (end - last * self._width)
        self._changes[first + 1] += amount
        self._changes[last] -= amount

    def values(self) -> Iterator[tuple[int, float]]:
        """Yield where a part begins, and the mean in it, of each part that differs from the one before."""
        before = 0.0
        for index, whole in enumerate(accumulate(self._changes[:-1])):
            # What was added and taken away again leaves rests of the size of rounding errors.
            mean = abs(round(whole + self._areas[index] / self._width, 3))
            if mean != before:
                yield index * self._width, mean
                before = mean
        if before:
            yield len(self._areas) * self._width, 0.0
