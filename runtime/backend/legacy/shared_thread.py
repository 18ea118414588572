"""`SharedThread`: the launcher thread, which the queues of submissions, of the poller and of drops share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

import trio

from runtime.backend.legacy.call_batches import Call, LauncherThread, StalledCall

C = TypeVar("C", bound=Call)


class SharedThread:
    """Makes the calls of several queues in one launcher thread, and gives each queue a batch in turn.

    Args:
        thread: makes the calls; used by nothing else.
        stalled: called with each call that passes its deadline.
    """

    def __init__(self, thread: LauncherThread, stalled: Callable[[StalledCall], None]) -> None:
        self._thread = thread
        self._stalled = stalled
        self._turn = trio.StrictFIFOLock()  # FIFO, so that the queues alternate

    async def run(self, calls: deque[C], deadline: float, returned: Callable[[list[C]], object]) -> None:
        """Make all `calls`, and pass each batch of those that have returned to `returned`.

        Args:
            calls: the queue, which is empty afterwards. If this is cancelled, it has those that did not begin.
            deadline: seconds after which a call counts as stalled; `math.inf` for never.
            returned: handles calls that have returned, in order. Must not block.
        """
        while calls:
            async with self._turn:
                done, stalled = await self._thread.run(calls, deadline)
            returned(done)
            if stalled is not None:
                self._stalled(stalled)

    def abandon(self, call: Call) -> None:
        """Stop waiting for `call`, which then counts as stalled. Does nothing if it has returned."""
        self._thread.abandon(call)
