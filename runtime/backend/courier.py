"""`Courier`: the one task that carries a backend's events to whoever listens.

Events wait in a queue without a bound, and the courier sends all that has gathered as one batch. So nobody who
completes a job ever waits for the receiver, whatever the size of the channel's buffer.
"""

from __future__ import annotations

import math

import trio

from runtime.job import EventBatch, JobCompletionEvent, JobProgressEvent


class Courier:
    """A queue of events and the task that empties it into a channel."""

    def __init__(self, channel: trio.MemorySendChannel[EventBatch]) -> None:
        self._channel = channel
        self._queue: list[JobProgressEvent | JobCompletionEvent] = []
        self._posted = trio.Event()
        self._taken = trio.Event()
        self._progress = 0
        """How many of the queued events are no completions."""
        self._sending = 0
        """How many completions are in the batch that waits for the receiver."""
        self.receiver_gone = False
        """Whether the receiving end was closed while there was something to send."""

    @property
    def undelivered(self) -> int:
        """How many completions have been posted that the receiver has not taken."""
        return len(self._queue) - self._progress + self._sending

    def post(self, *events: JobCompletionEvent) -> None:
        """Queue completions, behind all other events."""
        if events and not self._queue:
            self._posted.set()
        self._queue += events

    def post_progress(self, event: JobProgressEvent) -> None:
        """Queue what is not waited for at the end, behind all other events."""
        if not self._queue:
            self._posted.set()
        self._queue.append(event)
        self._progress += 1

    async def run(self) -> None:
        """Carry events until cancelled, or until the receiver has gone.

        Raises:
            trio.BrokenResourceError: if the receiver has gone.
        """
        while True:
            if not self._queue:
                self._posted = trio.Event()
                await self._posted.wait()
            batch, self._queue = tuple(self._queue), []
            self._sending, self._progress = len(batch) - self._progress, 0
            try:
                await self._channel.send(batch)
            except trio.BrokenResourceError:
                self.receiver_gone = True
                self._taken.set()
                raise
            self._sending = 0
            self._taken.set()
            self._taken = trio.Event()

    async def wait_delivered(self, patience: float = math.inf) -> bool:
        """Wait until every completion was taken. A checkpoint in any case.

        Args:
            patience: seconds to wait since the receiver last took a batch.

        Returns:
            Whether all were taken; false if the patience ran out or the receiver has gone.
        """
        await trio.lowlevel.checkpoint()
        while self.undelivered and not self.receiver_gone:
            with trio.move_on_after(patience) as scope:
                await self._taken.wait()
            if scope.cancelled_caught:
                return False
        return not self.undelivered
