"""`StatusStream`: status changes of a run, for watchers such as displays, links and journals.

A watcher never delays the run: a full buffer drops its oldest change and counts it. An unbounded buffer drops nothing.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Self

import trio

from runtime.job.numbers import brief, is_number
from runtime.job.protocol import JobT
from runtime.scheduler.statuses import StatusChange


class StatusStream(Generic[JobT]):
    """An asynchronous iterator of `StatusChange`, for one reader. It ends when the run does, or when it is closed."""

    def __init__(self, buffer: float, on_close: Callable[[StatusStream[JobT]], None]) -> None:
        if buffer != math.inf and not (is_number(buffer) and 1 <= buffer <= sys.maxsize and buffer == int(buffer)):
            msg = f"buffer is {brief(buffer)}; expected a whole number from 1, or math.inf for an unbounded buffer"
            raise ValueError(msg)
        self._buffer: deque[StatusChange[JobT]] = deque(maxlen=None if buffer == math.inf else int(buffer))
        self._on_close = on_close
        self._closed = False
        self._wakeup = trio.Event()
        self.dropped: int = 0
        """How many changes were dropped because the buffer was full."""

    def __repr__(self) -> str:
        return f"<StatusStream {len(self._buffer)} waiting, {self.dropped} dropped>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StatusChange[JobT]:
        # The two halves of a checkpoint: cancelled before a change is taken, never after, when it would be lost.
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._buffer:
            if self._closed:
                raise StopAsyncIteration
            self._wakeup = trio.Event()
            await self._wakeup.wait()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return self._buffer.popleft()

    def take_nowait(self) -> list[StatusChange[JobT]]:
        """Return all buffered changes, of which there may be none."""
        taken = list(self._buffer)
        self._buffer.clear()
        return taken

    def close(self) -> None:
        """Take no more changes. Buffered changes can still be read."""
        if not self._closed:
            self._closed = True
            self._wakeup.set()
            self._on_close(self)

    def put(self, changes: Sequence[StatusChange[JobT]]) -> None:
        """Add changes. For the scheduler; never blocks."""
        limit = self._buffer.maxlen
        if limit is not None:
            self.dropped += max(0, len(self._buffer) + len(changes) - limit)
        self._buffer.extend(changes)
        self._wakeup.set()
