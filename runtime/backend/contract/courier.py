"""`Courier`: the task that delivers a backend's events to the receiver.

Events wait in an unbounded queue, and the courier sends all that are queued as one batch. So completing a job never
waits for the receiver, whatever the size of the channel's buffer. The alternative, to send from the task that completes
a job, deadlocks on a small channel if the receiver's task is the one that submits.
"""

from __future__ import annotations

import math

import trio

from runtime.job import EventBatch, JobCompletionEvent, JobProgressEvent


class Courier:
    """A queue of events, and the task that sends them on a channel."""

    def __init__(self, channel: trio.MemorySendChannel[EventBatch]) -> None:
        self._channel = channel
        self._queue: list[JobProgressEvent | JobCompletionEvent] = []
        self._posted = trio.Event()
        self._taken = trio.Event()
        self._progress = 0
        """How many of the queued events are progress events."""
        self._sending = 0
        """How many completions are in the batch that is being sent."""
        self.receiver_gone: bool = False
        """Whether a send failed because the receiving end was closed."""

    @property
    def undelivered(self) -> int:
        """How many posted completions the receiver has not taken."""
        return len(self._queue) - self._progress + self._sending

    def post(self, *events: JobCompletionEvent) -> None:
        """Append completions to the queue."""
        if events and not self._queue:
            self._posted.set()
        self._queue += events

    def post_progress(self, event: JobProgressEvent) -> None:
        """Append a progress event to the queue. `undelivered` does not count it."""
        if not self._queue:
            self._posted.set()
        self._queue.append(event)
        self._progress += 1

    async def run(self) -> None:
        """Deliver events until cancelled, or until the receiver was closed.

        Raises:
            trio.BrokenResourceError: if the receiver was closed.
        """
        while True:
            if not self._queue:
                self._posted = trio.Event()
                await self._posted.wait()
            # A cancel during the send loses nothing of the count: `_sending` is reset only after the send.
            batch, self._queue = tuple(self._queue), []
            self._sending, self._progress = len(batch) - self._progress, 0
            try:
                await self._channel.send(batch)
            except trio.BrokenResourceError:
                self.receiver_gone = True
                self._taken.set()  # wakes `wait_delivered`, which would wait for ever otherwise
                raise
            self._sending = 0
            self._taken.set()
            self._taken = trio.Event()

    async def wait_delivered(self, drain_timeout: float = math.inf) -> bool:
        """Wait until the receiver has taken every completion. Always a checkpoint.

        Args:
            drain_timeout: seconds without progress by the receiver after which the wait ends.

        Returns:
            Whether every completion was taken; false after the timeout, or if the receiver was closed.
        """
        await trio.lowlevel.checkpoint()
        while self.undelivered and not self.receiver_gone:
            with trio.move_on_after(drain_timeout) as scope:  # begins again with each batch that was taken
                await self._taken.wait()
            if scope.cancelled_caught:
                return False
        return not self.undelivered
