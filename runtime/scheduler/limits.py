"""`Limits`: which limit of each resource counts, of those that several have a say in. Pure: it is told the time.

- What was given, or a provider told last, counts until a person sets another limit; that counts until the end of the
  run.
- If checkouts fail, the limit is lower for a while (`lowered`): after a failure of the kind *licence*, that of the
  resource ``licence``; after one of a kind of one's own, that of the resource of the same name. The failure of a job
  that holds several resources, or none of that name, says nothing about the others.
"""

from __future__ import annotations

import logging
import math
from typing import Final

from runtime.errors import ResourceError
from runtime.job import CustomKind, FailureKind, JobCompletionEvent
from runtime.job.numbers import brief
from runtime.scheduler.arbiter import Arbiter
from runtime.scheduler.lowered import LoweredLimit
from runtime.scheduler.resources import Capacity, Request, check_capacity

logger: Final = logging.getLogger("runtime.scheduler")


class Limits:
    """The limits of the resources of a run while it runs.

    Args:
        arbiter: is told the limit that counts.
    """

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter: Final = arbiter
        self._original: dict[str, int | None] = {}
        """The limits of those that were ever lowered, told or set, as they would be if no checkout had failed."""
        self._set: set[str] = set()
        """Those whose limit a person has set."""
        self._lowered: dict[str, LoweredLimit] = {}
        self._failed: list[tuple[str, int, float]] = []
        """Of each failed checkout since the last `update`: the resource, how much of it was held before, and how long
        the attempt took, in seconds."""
        self.is_settled: bool = True
        """Whether there is nothing to `update`. An attribute, because it is read after every fact."""

    def told(self, resource: str, capacity: Capacity) -> None:
        """Take note that the provider of a resource tells this limit, which is checked."""
        if resource not in self._set:
            self._original[resource] = capacity
            self._apply(resource)

    def set(self, resource: str, limit: int | None) -> None:
        """Let this be the limit of a resource, `None` for unlimited, whatever its provider tells from now on.

        Raises:
            ResourceError: if there is no such resource, or it is no limit.
        """
        if not self._arbiter.pool.has_limit(resource):
            known = ", ".join(sorted(self._arbiter.pool.usage())) or "none"
            raise ResourceError(f"the limit of resource {brief(resource)} is to be set; expected one of: {known}")
        self._original[resource] = check_capacity(resource, limit)
        self._set.add(resource)
        self._lowered.pop(resource, None)  # a person knows better
        self._apply(resource)

    def failed(self, event: JobCompletionEvent, request: Request) -> None:
        """Take note that an attempt at a job with this request did not pass, before its resources are released."""
        kind = event.kind
        if kind is FailureKind.LICENCE or isinstance(kind, CustomKind):
            pool, took = self._arbiter.pool, event.ended - (event.submitted if event.started is None else event.started)
            self._failed += [(name, pool.held(name), took) for name, _ in request if name == kind.value]
            self.is_settled = self.is_settled and not self._failed

    def update(self, now: float) -> None:
        """Lower limits after the failures since the last call, whose resources are released; raise what is due."""
        for resource, before, took in self._failed:
            self._lower(resource, before, took, now)
        self._failed.clear()
        for resource, lowered in list(self._lowered.items()):
            if lowered.due <= now:
                lowered.raise_limit(now)
                self._apply(resource)
        self.is_settled = not self._lowered

    def _lower(self, resource: str, before: int, took: float, now: float) -> None:
        held = self._arbiter.pool.held(resource)
        limit = self._original.setdefault(resource, self._arbiter.pool.capacity(resource))
        lowered = self._lowered.get(resource)
        if lowered is None:
            if limit is not None and limit <= held:
                return  # the limit has fallen meanwhile, and no job could start in any case
            lowered = self._lowered[resource] = LoweredLimit(before)
            text = "a checkout of %s failed: its limit is %d for now, and is raised again step by step"
            logger.warning(text, resource, held)
        lowered.checkout_failed(held, took, now)
        self._apply(resource)

    def wake_at(self) -> float:
        """Return when to call `update` although no checkout has failed; `math.inf` for never."""
        return min((lowered.due for lowered in self._lowered.values()), default=math.inf)

    def _apply(self, resource: str) -> None:
        """Let the limit count that counts now."""
        limit = self._original[resource]
        lowered = self._lowered.get(resource)
        if lowered is not None and lowered.is_over(limit):
            del self._lowered[resource]
            logger.info("the limit of %s is %s again", resource, "unlimited" if limit is None else limit)
        elif lowered is not None:
            limit = lowered.limit
        self._arbiter.capacity_changed(resource, limit, lowered=lowered is not None)
