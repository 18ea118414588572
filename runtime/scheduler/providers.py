"""Limits that change during a run: a provider is asked again and again, and what it says is a fact."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

import trio

from runtime.backend.contract.interrupts import await_hook
from runtime.errors import ResourceError
from runtime.job.numbers import is_number
from runtime.scheduler.facts import CapacityChanged, Fact
from runtime.scheduler.resources import Capacity, check_capacity

logger: Final = logging.getLogger("runtime.scheduler")

PROVIDER_INTERVAL: Final = 10.0
"""Seconds between two calls of a resource provider. Arbitrary: ten times longer, released licences would lie idle for
minutes; ten times shorter, a licence server that many runs ask would be flooded."""
PROVIDER_DEADLINE: Final = 10.0
"""Seconds that a resource provider may take to answer. Arbitrary: ten times longer, a server that hangs is reported
late; ten times shorter, one that is only slow counts as failing."""
PROVIDER_LONGEST_DELAY: Final = 300.0
"""The longest delay between two calls of a provider that fails, in seconds. Arbitrary: ten times longer, most of an
hour would pass before a server that is back is noticed; ten times shorter, one that is down is asked without need."""


class ResourceProvider(Protocol):
    """A limit that may change during the run, such as the licences that a licence server offers.

    It is asked every `PROVIDER_INTERVAL`, or, if it has an attribute `interval`, after so many seconds.
    """

    async def capacity(self) -> Capacity:
        """Return the amount that may be in use, `None` for unlimited.

        Called with a deadline (`PROVIDER_DEADLINE`); if it raises, the last value is kept.
        """
        ...


@runtime_checkable
class TimedProvider(Protocol):
    """A provider that says how often it is to be asked."""

    interval: float
    """Seconds between the end of a call and the next one."""


async def follow_limits(providers: Mapping[str, ResourceProvider], facts: trio.MemorySendChannel[Fact]) -> None:
    """Tell the limits of these resources again and again, until cancelled."""
    async with trio.open_nursery() as nursery:
        for name, provider in providers.items():
            nursery.start_soon(_follow, name, provider, facts)


@trio.lowlevel.enable_ki_protection
async def _follow(name: str, provider: ResourceProvider, facts: trio.MemorySendChannel[Fact]) -> None:
    """Tell the limit of a resource; while its provider fails, tell nothing, and log that once."""
    interval = provider.interval if isinstance(provider, TimedProvider) else PROVIDER_INTERVAL
    if not (is_number(interval) and interval > 0):  # a provider is foreign code
        interval = PROVIDER_INTERVAL
    delay, level = interval, logging.WARNING
    meanwhile = "nothing that needs it starts"
    while True:
        try:
            with trio.fail_after(PROVIDER_DEADLINE):
                capacity = check_capacity(name, await await_hook(provider.capacity))
        except Exception as exc:  # noqa: BLE001 - a provider is foreign code; the warning says what it raised
            delay = min(2 * delay, max(interval, PROVIDER_LONGEST_DELAY))
            why = str(exc) if isinstance(exc, ResourceError) else repr(exc)
            logger.log(level, "the limit of resource %r is not known, %s: %s", name, meanwhile, why)
            level = logging.INFO
        else:
            delay, level = interval, logging.WARNING
            meanwhile = "the last value is kept"
            facts.send_nowait(CapacityChanged(name, capacity))
        await trio.sleep(delay)
