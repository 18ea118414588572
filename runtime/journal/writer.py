"""`JournalWriter`: appends records to a journal without ever holding up the event loop.

Records go through a queue to a thread that writes them, which sleeps while the queue is empty. Another thread syncs,
so that nobody who waits for a write waits for a sync as well. The queues are all that is given to the threads; counters
that they alone write are all that they give back. `queue.SimpleQueue` wakes its reader only if that waits: a thread
that is writing is not woken for each record, so a busy journal costs one wake-up per write, and `append` less than a
microsecond.

A disk may not answer, such as a network file system whose server is restarted. Then the threads wait, and with them the
tasks in `written` and `durable`, which can be cancelled. After `timeout` the journal has failed, and its
threads are left alone: they check for that before each further write, so they write nothing more if a call ever
returns.
"""

from __future__ import annotations

import enum
import math
import queue
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import trio

from runtime.backend.contract.interrupts import protected_block, wait_through_interrupts
from runtime.backend.contract.tasks import is_cancelled
from runtime.journal.committer import Committer
from runtime.journal.disk import Disk
from runtime.journal.records import Record
from runtime.process.threads import in_thread

SYNC_INTERVAL: Final = 0.1
"""Seconds after a write until it is synced. With ten times more, a power cut would lose a second more; ten times less
would sync a hundred times a second, which takes a slow disk all of its time."""

TIMEOUT: Final = 120.0
"""Seconds without an answer of the disk after which the journal has failed, and how long the end of a block may take:
more than the 90 s for which an NFSv4 server that was restarted refuses writes. Ten times more looks like a hang."""

_HURRY: Final = 1.0
"""Seconds that the end of a block may still take after a Ctrl-C. Arbitrary: ten times more looks like a hang; with a
tenth, a busy disk would lose the end of the run."""

_MOST: Final = 1000
"""Records that are taken from the queue at once. Arbitrary: with any number, a steady stream is synced when due."""


class _Order(enum.Enum):
    """What the threads find in their queues besides records."""

    WAIT = enum.auto()
    """A sync is due in an interval."""
    SYNC = enum.auto()
    END = enum.auto()


_URGENCY: Final = (None, *_Order)
"""What a thread is told, the most urgent last."""


class _Progress:
    """Tasks that wait until a thread has done something."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._waiting = 0
        self._token: trio.lowlevel.TrioToken | None = None

    async def wait(self, done: Callable[[], bool], limit: float) -> bool:
        """Wait until `done()`; return false after `limit` seconds in which no thread has done anything."""
        await trio.lowlevel.checkpoint()
        self._token = trio.lowlevel.current_trio_token()
        # Before `done` is looked at: from now on the threads wake us, so no progress is missed in between.
        self._waiting += 1
        try:
            while not done():
                with trio.move_on_after(limit) as scope:
                    await self._event.wait()
                if scope.cancelled_caught:
                    return False
        finally:
            self._waiting -= 1
        return True

    def note(self) -> None:
        """Wake all tasks that wait. For threads; it costs nothing if none does."""
        if self._waiting and self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self.wake, idempotent=True)

    def wake(self) -> None:
        """Wake all tasks that wait. For the event loop."""
        self._event.set()
        self._event = trio.Event()


class _SyncThread:
    """The loop of the thread that syncs, and the orders for it.

    Args:
        committer: does the work.
        note: called after each step.
        clock: returns the time in seconds.
    """

    def __init__(self, committer: Committer, note: Callable[[], object], clock: Callable[[], float]) -> None:
        self.orders: Final[queue.SimpleQueue[_Order]] = queue.SimpleQueue()
        self._committer = committer
        self._note = note
        self._clock = clock

    def run(self) -> None:
        """Sync when it is due or ordered, until the order to end; then close the file. Raises nothing."""
        committer, order = self._committer, None
        while order is not _Order.END:
            order = self._next(committer.seconds_to_sync(self._clock()))
            if order is not _Order.WAIT:
                committer.sync()
                self._note()
        committer.close()
        self._note()

    def _next(self, wait: float | None) -> _Order | None:
        """Return the order that all that have come amount to; `None` if none comes for `wait` seconds.

        All records that they are about are written, so of many callers of `durable` most share a sync.
        """
        orders: list[_Order | None] = [None]
        with suppress(queue.Empty):
            orders.append(self.orders.get(timeout=wait))
            while True:
                orders.append(self.orders.get_nowait())
        return max(orders, key=_URGENCY.index)


class _WriteThread:
    """The loop of the thread that writes, and the queue that it reads.

    Args:
        committer: does the work.
        sync: takes orders to sync.
        note: called after each step.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        committer: Committer,
        sync: queue.SimpleQueue[_Order],
        note: Callable[[], object],
        clock: Callable[[], float],
    ) -> None:
        self.queue: Final[queue.SimpleQueue[Record | _Order]] = queue.SimpleQueue()
        self._committer = committer
        self.has_begun: bool = False
        self._sync = sync
        self._note = note
        self._clock = clock

    def run(self) -> None:
        """Write what comes, until the order to end or a failure; then end the thread that syncs. Raises nothing."""
        self.has_begun = True
        committer, order = self._committer, None
        committer.open()
        while committer.failure is None and order is not _Order.END:
            records, order = self._take()
            first = bool(records) and committer.write(records, self._clock())
            if first or order is _Order.SYNC:
                self._sync.put(_Order.SYNC if order is _Order.SYNC else _Order.WAIT)
            self._note()
        self._sync.put(_Order.END)
        self._note()

    def _take(self) -> tuple[Sequence[Record], _Order | None]:
        """Return the next records, and an order that is among them.

        An order to sync is passed on with all that has come since.
        """
        records: list[Record] = []
        order: _Order | None = None
        with suppress(queue.Empty):
            item = self.queue.get()
            while True:
                if isinstance(item, _Order):
                    order = item
                else:
                    records.append(item)
                if order is _Order.END or len(records) == _MOST:
                    break
                item = self.queue.get_nowait()
        return records, order


class JournalWriter:
    """Writes one segment of a journal: ``async with JournalWriter(JournalFile(directory)) as journal``.

    What is appended is written at once, and synced at most `sync_interval` after that. So the death of this process
    loses what it appended in its last moment at most, and the death of the machine what it appended in the last
    `sync_interval` and the duration of a sync; neither loses anything for which `durable` has returned true.

    Nothing here raises because of the disk, or ends the block. An error is logged once, as an error of the logger
    ``runtime.journal``, and is in `failure`. From then on `append` drops its records, and nothing waits.

    Leaving the block writes and syncs what was appended, and closes the file, also if an exception or a cancel is in
    flight. That takes `timeout` at most, and a second at most after a Ctrl-C.

    The process that opens the block must hold the lock of the run directory (`runtime.journal.lock`).

    Args:
        disk: the file. Bytes at its end that are no valid frame are cut off when the block begins, with a warning.
        sync_interval: seconds from a write to its sync.
        timeout: seconds without an answer of the disk after which the journal has failed.
        clock: returns the time in seconds, for `sync_interval`; called in the threads.
        complete: returns a record with what is to be found out before it is written, as `OutputFinder.complete` does;
            called with each record, in the thread that writes. It may block, and should not raise.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        sync_interval: float = SYNC_INTERVAL,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
        complete: Callable[[Record], Record] | None = None,
    ) -> None:
        self._timeout = timeout
        self._committer = Committer(disk, sync_interval, complete)
        self._progress = _Progress()
        self._sync = _SyncThread(self._committer, self._progress.note, clock)
        self._thread = _WriteThread(self._committer, self._sync.orders, self._progress.note, clock)
        self._appended = 0
        """How many records were appended, those that were dropped included."""
        self._ended = False
        self._block = self._run()

    def __repr__(self) -> str:
        return (
            f"<JournalWriter {self._committer.name!r}, {self._committer.written} of {self._appended} records written>"
        )

    # ------------------------------------------------------------------ the block

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        await self._block.__aenter__()
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._block.__aexit__(kind, exc, traceback)

    @protected_block
    async def _run(self) -> AsyncIterator[None]:
        """Run the threads during the block. An exception of it is raised when both have ended, unwrapped."""
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            scope, ended = trio.CancelScope(shield=True), trio.Event()
            nursery.start_soon(self._run_threads, scope, ended)
            try:
                yield
            except BaseException as exc:  # noqa: BLE001 - raised below; even a Cancelled
                failure = exc
            self._thread.queue.put(_Order.END)
            scope.deadline = trio.current_time() + self._timeout
            interrupt = await wait_through_interrupts(ended, lambda _: _hurry(scope))
        if interrupt is not None and (failure is None or is_cancelled(failure)):
            failure = interrupt
        if failure is not None:
            raise failure

    @trio.lowlevel.enable_ki_protection
    async def _run_threads(self, scope: trio.CancelScope, ended: trio.Event) -> None:
        """Run the threads until both end, or `scope` is cancelled."""
        limiter = trio.CapacityLimiter(2)
        try:
            with scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._run_sync_thread, limiter)
                    await in_thread(self._thread.run, limiter=limiter)
        finally:
            if scope.cancelled_caught:
                name, missing = self._committer.name, self._appended - self._committer.written
                self._committer.fail(f"the journal {name} did not end in time: {missing} records may not be written")
            if not self._thread.has_begun:  # no thread could be started; else it ends the other one, when it may
                self._sync.orders.put(_Order.END)
            self._ended = True
            self._progress.wake()
            ended.set()

    @trio.lowlevel.enable_ki_protection
    async def _run_sync_thread(self, limiter: trio.CapacityLimiter) -> None:
        await in_thread(self._sync.run, limiter=limiter)

    # ------------------------------------------------------------------ for callers, in the event loop

    @property
    def failure(self) -> str | None:
        """What has gone wrong, in one line, if the journal has failed."""
        return self._committer.failure

    @trio.lowlevel.enable_ki_protection
    def append(self, record: Record) -> None:
        """Append a record, which must not change from now on. Never blocks, and never raises.

        After a failure, or the end of the block, it is dropped. For tasks of the event loop, not for threads.
        """
        # Also one that is dropped, so that nobody is told that it was written: a failed sync leaves no other unwritten.
        self._appended += 1
        if self._committer.failure is None and not self._ended:
            self._thread.queue.put(record)

    async def written(self) -> bool:
        """Wait until all that was appended so far is written, so that the death of this process does not lose it.

        Return whether it is: false if any of it was dropped, or could not be written. Otherwise as `durable`.
        """
        committer, appended = self._committer, self._appended
        await self._wait(lambda: committer.written >= appended)
        return committer.written >= appended

    async def durable(self) -> bool:
        """Wait until all that was appended so far is on disk; return whether it is. Always a checkpoint.

        False if any of it was dropped, or could not be written or synced. On a file system without fsync, true
        means only that it was written. Cancelling it stops the waiting, and nothing else.
        """
        committer, appended = self._committer, self._appended
        if committer.synced < appended:
            self._thread.queue.put(_Order.SYNC)
        await self._wait(lambda: committer.synced >= appended)
        return committer.synced >= appended

    async def wait_failed(self) -> str | None:
        """Wait until the journal has failed, and return its `failure`; `None` if the block ends without one."""
        await self._progress.wait(lambda: self.failure is not None or self._ended, math.inf)
        return self.failure

    async def _wait(self, done: Callable[[], bool]) -> None:
        """Wait until `done()`, a failure, or the end of the block."""
        committer = self._committer
        if not await self._progress.wait(lambda: done() or self._ended or committer.failure is not None, self._timeout):
            committer.fail(f"the journal {committer.name} has had no answer from its disk for {self._timeout:g} s")
            self._progress.wake()


def _hurry(scope: trio.CancelScope) -> None:
    scope.deadline = min(scope.deadline, trio.current_time() + _HURRY)
