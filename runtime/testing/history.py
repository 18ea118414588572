"""`History`: compares the jobs that a backend accepted with the events that it delivered.

The promise is that ``Counter(completions) == Counter(accepted)`` when the channel has ended. There are two exceptions:
a submission that was cancelled may or may not have been accepted, and the backend counts events that nobody received
(`undelivered`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import trio

from runtime.job import EventBatch, JobCompletionEvent, JobHandle, JobProgressEvent, JobStatus
from runtime.job.shorten import some_of

Key = tuple[str, int]
"""The id of a job and the number of the attempt."""


class History:
    """Records handles and events, and lists where they disagree."""

    def __init__(self) -> None:
        self.accepted: Counter[Key] = Counter()
        self.doubtful: Counter[Key] = Counter()
        self.batches: list[EventBatch] = []
        self.ended: bool = False
        """Whether the channel has ended."""
        self._changed = trio.Event()

    def accept(self, handles: Iterable[JobHandle]) -> None:
        """Record the handles that a submission returned."""
        self.accepted.update((handle.job_id, handle.attempt) for handle in handles)

    def doubt(self, job_ids: Iterable[str], attempt: int = 1) -> None:
        """Record a submission that was cancelled: at most one completion may come for each of its jobs."""
        self.doubtful.update((job_id, attempt) for job_id in job_ids)

    def take(self, batch: EventBatch) -> None:
        """Record a batch that was received."""
        self.batches.append(batch)
        self._notify()

    async def collect(self, receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
        """Record all batches until the channel ends, then close the receiver. Cancelling does not stop it."""
        with receive, trio.CancelScope(shield=True):  # bounded: the session closes the channel when its block ends
            try:
                async for batch in receive:
                    self.take(batch)
                self.ended = True
            except trio.ClosedResourceError:
                pass  # the session closes the receiver if the backend has left clones of the channel open
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds. It is evaluated after each batch. Always a checkpoint."""
        await trio.lowlevel.checkpoint()
        while not condition():
            await self._changed.wait()

    @property
    def events(self) -> list[JobProgressEvent | JobCompletionEvent]:
        """All events, in the order of their arrival."""
        return [event for batch in self.batches for event in batch]

    @property
    def completions(self) -> list[JobCompletionEvent]:
        """All completions, in the order of their arrival."""
        return [event for event in self.events if isinstance(event, JobCompletionEvent)]

    def completion(self, job_id: str, attempt: int = 1) -> JobCompletionEvent:
        """Return the completion of an attempt at a job. Raises `AssertionError` unless there is exactly one."""
        found = [event for event in self.completions if (event.job_id, event.attempt) == (job_id, attempt)]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} completions came for attempt {attempt} at {job_id!r}; expected 1")
        return found[0]

    def violations(self, *, undelivered: int = 0) -> list[str]:
        """Return the violations of the contract, one line of text each.

        Args:
            undelivered: the number of completions that nobody received, as the backend counts them.
        """
        seen = Counter((event.job_id, event.attempt) for event in self.completions)
        missing, extra = self.accepted - seen, seen - self.accepted - self.doubtful
        found = [f"{count} completions too many for attempt {key[1]} at {key[0]!r}" for key, count in extra.items()]
        lost = missing.total() - undelivered
        if lost > 0:
            some = some_of([f"{job_id!r} (attempt {attempt})" for job_id, attempt in missing], 5)
            found.append(f"{lost} completions never came; of these: {some}")
        perhaps = (self.accepted + self.doubtful - seen).total()
        if undelivered > perhaps:
            found.append(f"{undelivered} completions are counted as undelivered, but only {perhaps} did not come")
        if () in self.batches:
            found.append("a batch is empty")
        return found + [text for event in self.events for text in _wrong_with(event)] + self._disorder(seen)

    def _disorder(self, seen: Counter[Key]) -> list[str]:
        last = {(event.job_id, event.attempt): event for event in self.events}
        return [
            f"progress of attempt {key[1]} at {key[0]!r} came after its completion"
            for key, event in last.items()
            if seen[key] and not isinstance(event, JobCompletionEvent)
        ]

    def check(self, *, undelivered: int = 0) -> None:
        """Raise `AssertionError` if there is a violation; see `violations`."""
        found = self.violations(undelivered=undelivered)
        if found:
            raise AssertionError("; ".join(found))


def _wrong_with(event: JobProgressEvent | JobCompletionEvent) -> list[str]:
    found = []
    if isinstance(event, JobProgressEvent):
        if event.status not in {JobStatus.QUEUED, JobStatus.RUNNING}:
            found.append(f"progress to {event.status.name}: {event!r}")
        return found
    if not event.status.is_terminal:
        found.append(f"a completion with status {event.status.name}: {event!r}")
    if (event.reason is None) != (event.status is JobStatus.PASSED):
        found.append(f"exactly the jobs that did not pass have a reason: {event!r}")
    if event.reason is not None and event.reason.kind is not None and event.reason.kind.status is not event.status:
        found.append(f"kind {event.reason.kind.value} does not go with {event.status.name}: {event!r}")
    if not event.submitted <= (event.submitted if event.started is None else event.started) <= event.ended:
        found.append(f"times out of order: {event!r}")
    return found
