"""`follow`: the records of a run while it is being written, by this process or another one."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import trio

from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.frames import Scanner
from runtime.journal.lock import holder_of
from runtime.journal.records import End, Record, from_text
from runtime.process.threads import in_thread
from runtime.roots import RootedPath

POLL_INTERVAL: Final = 0.25
"""Seconds between two looks at a journal that has nothing new. Arbitrary: for people who watch a run; ten times more
looks like a hang, ten times less costs a watcher of a network file system 40 requests a second."""

_BLOCK_SIZE: Final = 1 << 20
"""Bytes that are read at once. Arbitrary: a frame may be longer, and is read in several pieces."""


def follow(
    directory: RootedPath, *, interval: float = POLL_INTERVAL, is_live: Callable[[], bool] | None = None
) -> Follower:
    """Return an iterator of the records of a run, old and new.

    Args:
        directory: the run directory.
        interval: seconds between two looks at a journal that has nothing new.
        is_live: returns whether the journal may still grow; may block, and is called in a thread. `None`: while a
            process holds the lock of the run directory.
    """
    return Follower(directory, interval, is_live or (lambda: holder_of(directory) is not None))


class Follower(AsyncIterator[Record]):
    """The records of a run, old and new. Made by `follow`.

    It polls: only that works on a network file system. It ends behind an `End` record, if nothing follows, and when
    nothing is new although nobody writes any longer. Cancelling a step loses no record. It holds nothing open, so it
    need not be closed.

    Raises (of each step):
        OSError: if the journal exists and cannot be read.
        JournalVersionError: if a newer version of this package has written the journal.
    """

    def __init__(self, directory: RootedPath, interval: float, is_live: Callable[[], bool]) -> None:
        self._path: Final = directory.below(JOURNAL_NAME)
        self._interval = interval
        self._is_live = is_live
        self._limiter: Final = trio.CapacityLimiter(1)
        self._offset = 0
        self._records: deque[Record] = deque()
        self._ended = False
        """Whether the last record was an `End`."""
        self.note: str | None = None
        """What follows the last record, and is no record (yet), in a line; `None` if nothing does."""
        self.caught_up: Final = trio.Event()
        """Set when a look at the journal has found nothing new, so that all which it had then was returned."""

    async def __anext__(self) -> Record:
        """Wait for the next record, and return it."""
        await trio.lowlevel.checkpoint()
        while not self._records:
            live, records, self._offset, self.note = await in_thread(self._read, self._offset, limiter=self._limiter)
            self._records.extend(records)
            if not records:
                self.caught_up.set()
                if self._ended or not live:
                    raise StopAsyncIteration
                await trio.sleep(self._interval)
        record = self._records.popleft()
        self._ended = isinstance(record, End)
        return record

    def _read(self, offset: int) -> tuple[bool, list[Record], int, str | None]:
        """Return whether the journal may grow, the next records, the offset behind them, and the note. Blocks.

        Changes nothing, because its thread may be abandoned.
        """
        # Before the file is read: what its writer wrote before it ended is found then.
        live = self._is_live()
        # A new scanner each time, from the end of the last record on: a previous incarnation may have left the
        # beginning of a frame there, which the next one has cut off since.
        scanner = Scanner(from_text, offset)
        records: list[Record] = []
        try:
            fd = self._path.open_regular()
        except FileNotFoundError:
            return live, [], offset, None
        with open(fd, "rb", buffering=0) as file:
            file.seek(offset)
            while not records and not scanner.is_broken and (block := file.read(_BLOCK_SIZE)):
                records = [record for record in scanner.feed(block) if record is not None]
            scanner.skip_to(os.fstat(fd).st_size)
        return live, records, scanner.end, None if records else scanner.note
