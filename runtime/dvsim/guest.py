"""`as_guest`: a trio function in the asyncio loop in which DVSim runs its scheduler and prints its status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import outcome
import trio


async def as_guest(function: Callable[[], Awaitable[Any]]) -> Any:
    """Run a trio function as a guest of this asyncio loop, and return its result.

    A cancellation is passed on, and raised when the function has ended, however often this is cancelled meanwhile.
    """
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
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError as exc:
            cancelled = exc
            with suppress(trio.RunFinishedError):  # it has just ended, and is about to say so
                token.run_sync_soon(scope.cancel)
    result = ended.result().unwrap()
    if cancelled is not None:
        raise cancelled
    return result
