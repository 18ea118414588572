"""Limits that change during a run: a provider is asked again and again, and what it says is a fact."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, Protocol

import trio

from runtime.backend.contract.interrupts import await_hook
from runtime.scheduler.facts import CapacityChanged, Fact
from runtime.scheduler.resources import check_capacity

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
    """A limit that may change during the run, such as the licences that a licence server offers."""

    async def capacity(self) -> int:
        """Return the amount that may be in use. Called with a deadline; if it raises, the last value is kept."""
        ...


async def follow_limits(providers: Mapping[str, ResourceProvider], facts: trio.MemorySendChannel[Fact]) -> None:
    """Tell the limits of these resources again and again, until cancelled."""
    async with trio.open_nursery() as nursery:
        for name, provider in providers.items():
            nursery.start_soon(_follow, name, provider, facts)


@trio.lowlevel.enable_ki_protection
async def _follow(name: str, provider: ResourceProvider, facts: trio.MemorySendChannel[Fact]) -> None:
    """Tell the limit of a resource; while its provider fails, tell nothing."""
    delay = PROVIDER_INTERVAL
    while True:
        try:
            with trio.fail_after(PROVIDER_DEADLINE):
                capacity = check_capacity(name, await await_hook(provider.capacity))
        except Exception as exc:  # noqa: BLE001 - a provider is foreign code; the warning says what it raised
            delay = min(2 * delay, PROVIDER_LONGEST_DELAY)
            logger.warning("the limit of resource %r is not known, the last value is kept: %r", name, exc)
        else:
            delay = PROVIDER_INTERVAL
            facts.send_nowait(CapacityChanged(name, capacity))
        await trio.sleep(delay)
