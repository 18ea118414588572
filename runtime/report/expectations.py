"""`Expectations`: what earlier runs of a job file let expect of a run. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import attrs

SLOW_FACTOR: Final = 3.0
"""How many times its median a job runs before it is shown as slow: as Spark does before it starts a second copy of a
task (``spark.speculation.multiplier``, 3 since version 4.0). With ten times more, nobody is told of a job that hangs;
at 1.1 every busy machine makes all jobs slow."""
SLOW_SECONDS: Final = 5.0
"""Seconds that it runs longer than its median, at least. Arbitrary: a job of 0.1 s that takes 0.4 s is nobody's
concern."""


@attrs.frozen
class Expectations:
    """What earlier runs of a job file let expect, of each test: what jobs are that differ only in their seed."""

    runs: int = 0
    """How many runs the times are of."""
    seconds: Mapping[str, float] = attrs.field(factory=dict)
    """Test to its usual run time: the median of these runs, of each the mean of its jobs that passed."""
    failing: Collection[str] | None = None
    """The tests that did not pass in the last run; `None` if there was none."""


def slow_after(usual: float) -> float:
    """Return the seconds after which a job is slow that usually takes so long."""
    return max(SLOW_FACTOR * usual, usual + SLOW_SECONDS)
