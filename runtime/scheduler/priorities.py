"""The priority of a job: the default, or what a function of the user says, which is checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Protocol, Self

from runtime.job import JobSpec
from runtime.job.protocol import Job, timeout_of

_FOREVER: Final = math.inf


class Ordered(Protocol):
    """What a priority must be: ordered with all other priorities of the run, and hashable."""

    def __lt__(self, other: Self, /) -> bool: ...

    def __ge__(self, other: Self, /) -> bool: ...

    def __hash__(self) -> int: ...


Priority = Callable[[Any, int], Ordered]
"""Maps a job, of the class that the run has, and the number of its dependents to its priority; larger goes first."""


def default_priority(job: Job, dependents: int) -> tuple[float, float, int]:
    """Return the default priority: weight, then timeout (none is the longest), then the number of dependents.

    A foreign job may have `timeout_secs` instead of `timeout`.
    """
    timeout: float | None = job.timeout if type(job) is JobSpec else timeout_of(job)
    return job.weight, _FOREVER if timeout is None else timeout, dependents


class CheckedPriority:
    """A priority function of the user, whose values are checked."""

    def __init__(self, function: Priority) -> None:
        self._function = function
        self._sample: Ordered | None = None
        """The first value; all others must be comparable with it."""

    def __call__(self, job: Job, dependents: int) -> Ordered:
        """Return the priority.

        Raises:
            ValueError: if queues cannot use it: it cannot be ordered, or does not equal itself, like NaN.
            TypeError: if it cannot be hashed, or compared with the others.
            Exception: what the function raises.
        """
        priority = self._function(job, dependents)
        hash(priority)
        if self._sample is None:
            self._sample = priority
        is_unlike_itself = priority != priority  # noqa: PLR0124 - as NaN is, and whatever else orders nothing
        # Of two values that are ordered, exactly one of `<` and `>=` holds. Sets, for example, are not.
        if is_unlike_itself or (priority < self._sample) is (priority >= self._sample):
            raise ValueError(f"{priority!r} cannot be ordered")
        return priority
