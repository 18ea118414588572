"""`Limits`: which limit of each resource counts, of those that several have a say in. Pure.

What was given, or a provider told last, counts until a person sets another limit; that counts until the end of the run.
"""

from __future__ import annotations

from typing import Final

from runtime.errors import ResourceError
from runtime.job.numbers import brief
from runtime.scheduler.arbiter import Arbiter
from runtime.scheduler.resources import check_capacity


class Limits:
    """The limits of the resources of a run while it runs.

    Args:
        arbiter: is told the limit that counts.
    """

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter: Final = arbiter
        self._told: dict[str, int | None] = {}
        """What providers have told last."""
        self._set: dict[str, int | None] = {}
        """What persons have set."""

    def told(self, resource: str, capacity: int) -> None:
        """Take note that the provider of a resource tells this limit, which is checked."""
        self._told[resource] = capacity
        self._apply(resource)

    def set(self, resource: str, limit: int | None) -> None:
        """Let this be the limit of a resource, `None` for unlimited, whatever its provider tells from now on.

        Raises:
            ResourceError: if there is no such resource, or it is no limit.
        """
        if not self._arbiter.pool.has_limit(resource):
            known = ", ".join(sorted(self._arbiter.pool.usage())) or "none"
            raise ResourceError(f"the limit of resource {brief(resource)} is to be set; expected one of: {known}")
        self._set[resource] = None if limit is None else check_capacity(resource, limit)
        self._apply(resource)

    def _apply(self, resource: str) -> None:
        limit = self._set[resource] if resource in self._set else self._told[resource]
        self._arbiter.capacity_changed(resource, limit)
