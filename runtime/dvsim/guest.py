"""`as_guest`: a trio function in the asyncio loop in which DVSim runs its scheduler and prints its status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import outcome
import trio


async def as_guest(function: Callable[[], Awaitable[Any]]) -> Any:
    """Run a trio function as a guest of this asyncio loop; a cancellation is passed on, and its end awaited."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[outcome.Outcome[Any]] = loop.create_future()
    scope = trio.CancelScope()

    async def main() -> Any:
        with scope:
            return await function()

    trio.lowlevel.start_guest_run(
        main,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=ended.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    token = trio.lowlevel.current_trio_token()
    try:
        return (await asyncio.shield(ended)).unwrap()
    except asyncio.CancelledError:
        token.run_sync_soon(scope.cancel)
        (await ended).unwrap()
        raise
