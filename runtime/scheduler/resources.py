"""`ResourcePool`: named resources (licences, memory, anything), their limits, and how much of them jobs hold.

Pure: no I/O, no time. A limit is a number, or `None` for unlimited. A job requests an amount, or *all of it*: then no
other job may hold any.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from runtime.errors import ResourceError
from runtime.job.numbers import brief
from runtime.job.protocol import Job

logger: Final = logging.getLogger("runtime.scheduler")

Request = tuple[tuple[str, int | None], ...]
"""Pairs of resource and amount, sorted by name; `None` is all of it."""

Capacity = int | None
"""The limit of a resource: an amount, or `None` for unlimited."""

MissingPolicy = Literal["ignore", "warn", "error"]


def request_of(job: Job) -> Request:
    """Return the request of `job`, in a form in which equal requests compare equal."""
    return tuple(sorted(job.resources.items())) if job.resources else ()


def check_capacity(name: str, capacity: Capacity) -> Capacity:
    """Return `capacity`, the new limit of a resource.

    Raises:
        ResourceError: if it is neither an amount nor `None`.
    """
    if capacity is not None and not _is_amount(capacity):
        expected = "expected a whole number from 0, or None for unlimited"
        raise ResourceError(f"the limit of resource {name!r} became {brief(capacity)}; {expected}")
    return capacity


class _Resource:
    __slots__ = ("capacity", "dynamic", "exclusive", "held", "holders")

    def __init__(self, capacity: int | None, *, dynamic: bool = False) -> None:
        self.capacity = capacity
        self.dynamic = dynamic
        self.held = 0
        self.holders = 0
        self.exclusive = False
        """Whether one job holds all of it."""


class ResourcePool:
    """The limits of all resources, and how much of each is held.

    Args:
        limits: name to amount, `None` for unlimited.
        dynamic: names of resources whose limit is not known yet, and will change; 0 until then.
        missing: what to do about a resource without a limit: take it as unlimited, silently (``ignore``) or with a
            warning (``warn``), or refuse the job (``error``).

    Raises:
        ResourceError: for a limit that is not an amount, or an unknown `missing`.
    """

    def __init__(
        self,
        limits: Mapping[str, int | None] | None = None,
        *,
        dynamic: Iterable[str] = (),
        missing: MissingPolicy = "error",
    ) -> None:
        if missing not in ("ignore", "warn", "error"):
            raise ResourceError(f"on_missing_resource is {missing!r}; expected 'ignore', 'warn' or 'error'")
        self._missing = missing
        self._resources: dict[str, _Resource] = {}
        for name, limit in (limits or {}).items():
            if limit is not None and not _is_amount(limit):
                raise ResourceError(
                    f"the limit of resource {name!r} is {brief(limit)}; expected a whole number from 0, None for"
                    " unlimited, or a ResourceProvider"
                )
            self._resources[name] = _Resource(limit)
        for name in dynamic:
            self._resources[name] = _Resource(0, dynamic=True)

    def check(self, request: Request, job_id: str) -> None:
        """Check that `request` can ever be granted.

        Args:
            request: of a job.
            job_id: of that job, for messages.

        Raises:
            ResourceError: if it needs a resource without a limit, or more than a limit that never changes.
        """
        for name, amount in request:
            resource = self._resources.get(name)
            if resource is None:
                self._resources[name] = self._add_missing(name, job_id)
            elif not resource.dynamic and not self.possible(((name, amount),)):
                needs = "all" if amount is None else brief(amount)
                msg = f"job {job_id!r} needs {needs} of resource {name!r}, and its limit is {resource.capacity}"
                raise ResourceError(msg)

    def _add_missing(self, name: str, job_id: str) -> _Resource:
        known = ", ".join(sorted(self._resources)) or "none"
        text = f"job {job_id!r} needs resource {name!r}, which has no limit (there are limits for: {known})"
        if self._missing == "error":
            raise ResourceError(text)
        if self._missing == "warn":
            logger.warning("%s; it is taken as unlimited", text)
        return _Resource(None)

    def has_limit(self, name: str) -> bool:
        """Return whether a resource is known: it was given a limit, or a job needed it and `missing` allowed that."""
        return name in self._resources

    def set_capacity(self, name: str, capacity: int | None) -> bool:
        """Change the limit of a resource to a checked amount, `None` for unlimited; return whether it changed.

        Jobs that hold more keep it. From now on a job that needs more waits, as the limit may change again.
        """
        resource = self._resources[name]
        resource.dynamic = True
        changed = resource.capacity != capacity
        resource.capacity = capacity
        return changed

    def possible(self, request: Request) -> bool:
        """Return whether `request` could be granted if nothing were held."""
        for name, amount in request:
            capacity = self._resources[name].capacity
            if capacity is not None and capacity < (1 if amount is None else amount):  # all of nothing is refused
                return False
        return True

    def capacity(self, name: str) -> int | None:
        """Return the limit of a resource."""
        return self._resources[name].capacity

    def held(self, name: str) -> int:
        """Return how much of a resource is held."""
        return self._resources[name].held

    def lacking(self, request: Request) -> str | None:
        """Return the name of the first resource of which `request` cannot have enough now."""
        for name, amount in request:
            resource = self._resources[name]
            if resource.exclusive:
                return name
            if amount is None:
                if resource.holders or resource.capacity == 0:
                    return name
            elif resource.capacity is not None and resource.held + amount > resource.capacity:
                return name
        return None

    def take(self, request: Request) -> None:
        """Hold `request`, of which nothing is lacking."""
        for name, amount in request:
            resource = self._resources[name]
            resource.holders += 1
            resource.held += self._amount(resource, amount)
            resource.exclusive = amount is None

    def release(self, request: Request) -> None:
        """Return what `take` took to the pool."""
        for name, amount in request:
            resource = self._resources[name]
            resource.holders -= 1
            if amount is None:
                resource.exclusive = False
                resource.held = 0  # not less the capacity, which may have changed meanwhile
            else:
                resource.held -= amount

    @staticmethod
    def _amount(resource: _Resource, amount: int | None) -> int:
        return amount if amount is not None else (resource.capacity or 0)

    def usage(self) -> dict[str, tuple[int, int | None]]:
        """Return, for each resource, how much is held, and its limit."""
        return {name: (resource.held, resource.capacity) for name, resource in self._resources.items()}


def _is_amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
