"""`LoweredLimit`: the limit of a resource while its server grants less than the limit. Pure: it is told the time.

A licence server does not say how many it would grant. A job whose checkout failed tells that it has granted no more
than the other jobs hold. So the limit falls to what these hold, and rises again step by step, as the window of TCP
does: a raise that was too much costs one failed attempt, and after that the next one comes twice as late.

TCP halves its window when a packet is lost. Here what the others hold is known: less would leave licences unused that
are certainly there. If several checkouts fail together, each of them lowers the limit, and the last tells the truth.
"""

from __future__ import annotations

import math
from typing import Final

FIRST_DELAY: Final = 10.0
"""Seconds from a failed checkout to the first raise, and from one raise to the next, besides the time in which it would
be seen to fail. Arbitrary: ten times longer, licences that are back lie idle for minutes; ten times shorter, a server
is asked again and again."""
LONGEST_DELAY: Final = 60.0
"""Seconds that such a delay grows to, and that count of the time to a failure, at most. Arbitrary: each raise in vain
costs a job an attempt. Ten times longer, a server that is back is noticed after ten minutes; ten times shorter, a job
with a few retries uses them up within a minute."""


class LoweredLimit:
    """A limit that was lowered by a failed checkout.

    Args:
        ceiling: how much was held before, which counts instead of an original limit that is unlimited.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self.limit: int = ceiling
        """The limit that counts."""
        self.due: float = math.inf
        """When it is raised next, in seconds."""
        self._longest = 0.0
        """Seconds that an attempt took to fail, at most: so long after a raise it is seen to be in vain."""
        self._delay = FIRST_DELAY
        self._step = 1
        self._was_raised = False
        """Whether the last that happened was a raise."""

    def checkout_failed(self, held: int, took: float, now: float) -> None:
        """Lower it after a failed checkout.

        Args:
            held: how much all other jobs hold.
            took: the seconds from the start of the attempt to its failure.
            now: the time, in seconds.
        """
        self._longest = min(max(self._longest, took), LONGEST_DELAY)
        if self._was_raised:
            self._delay = min(2 * self._delay, LONGEST_DELAY)
        self._was_raised = False
        self._step = 1
        self.limit = min(self.limit, held)
        self.due = now + max(self._delay, FIRST_DELAY + self._longest)

    def raise_limit(self, now: float) -> None:
        """Raise it by a step. If the last raise has done no harm, the step is twice as large, and delays are short."""
        if self._was_raised:
            self._delay = FIRST_DELAY
            self._step *= 2
        self._was_raised = True
        self.limit += self._step
        self.due = now + FIRST_DELAY + self._longest

    def is_over(self, original: int | None) -> bool:
        """Whether it is no lower than the original limit, `None` for unlimited."""
        return self.limit >= (self._ceiling if original is None else original)
