"""`ResourcePool`: named amounts (licences, memory, anything) that running jobs hold, and their limits.

Pure: no I/O, no time. A limit is a number, or `None` for unlimited. A job may ask for an amount, or for *all of it*:
then it holds the resource alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Protocol

from runtime.errors import ResourceError
from runtime.job.numbers import brief

logger: Final = logging.getLogger("runtime.scheduler")

Request = tuple[tuple[str, int | None], ...]
"""What a job holds, sorted by name; `None` is all of it."""

MissingPolicy = Literal["ignore", "warn", "error"]


class ResourceProvider(Protocol):
    """A limit that may change during the run, such as what a licence server says."""

    async def capacity(self) -> int:
        """Return the amount that may be in use. Asked with a deadline; when it raises, the last value is kept."""
        ...


def request_of(job: Any) -> Request:
    """Return what `job` asks for, so that equal requests are equal."""
    resources: Mapping[str, int | None] | None = job.resources
    return tuple(sorted(resources.items())) if resources else ()


class _Resource:
    __slots__ = ("alone", "capacity", "dynamic", "held", "holders")

    def __init__(self, capacity: int | None, *, dynamic: bool = False) -> None:
        self.capacity = capacity
        self.dynamic = dynamic
        self.held = 0
        self.holders = 0
        self.alone = False


class ResourcePool:
    """Who may hold how much of what.

    Args:
        limits: name to amount, `None` for unlimited.
        dynamic: names whose limit is not known yet, and will change.
        missing: what to do about a resource without a limit: take it as unlimited in silence (``ignore``) or with a
            warning (``warn``), or refuse the job (``error``).

    Raises:
        ResourceError: for a limit that is no amount.
    """

    def __init__(
        self,
        limits: Mapping[str, int | None] | None = None,
        *,
        dynamic: Iterable[str] = (),
        missing: MissingPolicy = "error",
    ) -> None:
        if missing not in ("ignore", "warn", "error"):
            msg = f"on_missing_resource is {missing!r}; wanted: 'ignore', 'warn' or 'error'"
            raise ResourceError(msg)
        self._missing = missing
        self._resources: dict[str, _Resource] = {}
        for name, limit in (limits or {}).items():
            if limit is not None and not _is_amount(limit):
                msg = (
                    f"the limit of resource {name!r} is {brief(limit)}; wanted: a whole number from 0, None for"
                    " unlimited, or a ResourceProvider"
                )
                raise ResourceError(msg)
            self._resources[name] = _Resource(limit)
        for name in dynamic:
            self._resources[name] = _Resource(0, dynamic=True)

    def check(self, request: Request, who: str) -> None:
        """Check that `request` can be granted at some time.

        Raises:
            ResourceError: if it asks for a resource without a limit, or for more than a limit that never changes.
        """
        for name, amount in request:
            resource = self._resources.get(name)
            if resource is None:
                self._resources[name] = self._add_missing(name, who)
            elif not resource.dynamic and not self.possible(((name, amount),)):
                needs = "all" if amount is None else brief(amount)
                msg = f"job {who!r} needs {needs} of resource {name!r}, and its limit is {resource.capacity}"
                raise ResourceError(msg)

    def _add_missing(self, name: str, who: str) -> _Resource:
        known = ", ".join(sorted(self._resources)) or "none"
        text = f"job {who!r} needs resource {name!r}, which has no limit (there are limits for: {known})"
        if self._missing == "error":
            raise ResourceError(text)
        if self._missing == "warn":
            logger.warning("%s; it is taken as unlimited", text)
        return _Resource(None)

    def has_limit(self, name: str) -> bool:
        """Return whether a resource is known here: it was given a limit, or was needed without one and let pass."""
        return name in self._resources

    def set_capacity(self, name: str, capacity: int) -> bool:
        """Change the limit of a dynamic resource; return whether it changed. Jobs that hold more keep what they
        have.
        """
        if not _is_amount(capacity):
            msg = f"the limit of resource {name!r} became {brief(capacity)}; wanted: a whole number from 0"
            raise ResourceError(msg)
        resource = self._resources[name]
        changed = resource.capacity != capacity
        resource.capacity = capacity
        return changed

    def possible(self, request: Request) -> bool:
        """Return whether `request` could be granted if nobody held anything."""
        for name, amount in request:
            capacity = self._resources[name].capacity
            if capacity is not None and capacity < (1 if amount is None else amount):
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
            if resource.alone:
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
            resource.alone = amount is None

    def release(self, request: Request) -> None:
        """Give back what `take` took."""
        for name, amount in request:
            resource = self._resources[name]
            resource.holders -= 1
            if amount is None:
                resource.alone = False
                resource.held = 0
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
