"""`Committer`: what a journal's threads do with the records that were appended: encode, write, sync.

Writes and syncs are apart, because they protect from different things. What was *written* survives the death of this
process, so records are written at once. What was *synced* survives the death of the machine; a sync may take ten
milliseconds, so it is made once for all that came meanwhile: the group commit. And it is made by another thread, so
that the start of a local job, which waits for its intent to be written, never waits for a sync.

After the first error nothing more is written. The frame that was cut off by it is the last of the file, so readers find
all that is before it, and the next segment cuts it off. To try again would be wrong in both cases: a frame behind one
that was cut off would never be read, and after a failed sync the kernel may have dropped the data, and report the next
sync as successful (PostgreSQL, "fsyncgate", 2018).

The threads and the clock are the caller's: `write` and `seconds_to_sync` are told the time. So tests need neither.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from runtime.errors import NO_FSYNC
from runtime.journal.disk import Disk
from runtime.journal.frames import MAX_TEXT, Scanner, encode
from runtime.journal.records import Begin, End, Jobs, Record, Sampled, Stopping, from_text, halves, to_text

logger: Final = logging.getLogger("runtime.journal")

_BLOCK_SIZE: Final = 1 << 20
"""Bytes that are read at once, and that are encoded before they are written. Arbitrary: ten times more would hold that
much more memory; ten times less is still more than the records of one turn of the event loop."""

_OF_THE_SEGMENT: Final = (Begin, Stopping, Sampled, End)
"""The records that are not about jobs. A union of them in an `isinstance` would be made anew by each call."""


def _jobs_in(record: Record) -> int:
    """Return how many jobs a record is about; 0 if it is about the segment."""
    if isinstance(record, Jobs):
        return len(record.ids)
    return 0 if isinstance(record, _OF_THE_SEGMENT) else len(record.jobs)


def _frames(record: Record) -> Iterator[bytes]:
    """Yield the frame of a record; of one that is too large for a frame, those of its halves.

    A resume may then take a kept result for older than that of its need, and run the job again: see `Recorder.keep`.
    """
    text = to_text(record)
    if len(text) <= MAX_TEXT or _jobs_in(record) <= 1:  # of one job it is an error
        yield encode(text)
        return
    for half in halves(record):
        yield from _frames(half)


class Committer:
    """Writes the records of one segment. Its methods block; its attributes may be read by any thread.

    `open` and `write` are for one thread, `sync` for one other, or the same; `close` comes when no other call is made.

    It has many fields because three are counters, each of which one thread writes alone, so that the others can read it
    without a lock. `JournalWriter` reads them in the event loop, and changes none.

    Args:
        disk: the file.
        sync_interval: seconds after which what was written is synced.
        complete: returns a record with what is to be found out before it is written.
    """

    def __init__(self, disk: Disk, sync_interval: float, complete: Callable[[Record], Record] | None = None) -> None:
        self.name: Final = disk.name
        self.written: int = 0
        """How many records were written."""
        self.synced: int = 0
        """How many records are on disk."""
        self.failure: str | None = None
        """What has gone wrong, in one line; nothing is written after that."""
        self._disk = disk
        self._sync_interval = sync_interval
        self._complete = complete
        self._has_sync = True
        self._counted = 0
        """How many records were written when the last sync began."""
        self._unsynced_since: float | None = None
        """When the first record was written that is not synced; `None` if there is none."""
        self._failing = threading.Lock()

    def fail(self, why: str) -> None:
        """Write nothing from now on, and log why. For any thread; only the first call counts."""
        with self._failing:
            if self.failure is not None:
                return
            self.failure = f"{why}; the run goes on, and what happens from now on is not recorded"
        logger.error("%s", self.failure)

    def open(self) -> None:
        """Open the file, and cut off what a previous incarnation did not write to its end."""
        if self._try("opened", self._disk.open):
            self._try("continued", self._cut_torn_tail)

    def _cut_torn_tail(self) -> None:
        # With the parser of the readers, which also stop at a frame that is no record.
        scanner, size = Scanner(from_text), 0
        while not scanner.is_broken and (block := self._disk.read(size, _BLOCK_SIZE)):
            scanner.feed(block)
            size += len(block)
        if scanner.note is not None:  # nothing that is appended behind it would ever be read
            self._disk.truncate(scanner.end)
            why = scanner.note.partition(";")[0]  # not how much: what follows a flaw, which may be a hole, is not read
            logger.warning("the journal %s was cut to its first %d bytes: %s", self.name, scanner.end, why)

    def write(self, records: Sequence[Record], now: float) -> bool:
        """Write `records`, in their order, at a time in seconds.

        Returns:
            Whether they are the first that have to be synced, so that `seconds_to_sync` returns a number again.
        """
        self._try("written", lambda: self._append(records))
        # After the write: a sync that has just begun may not have counted these records, and another one must follow.
        if self._unsynced_since is not None or self.written == self._counted:
            return False
        self._unsynced_since = now
        return True

    def seconds_to_sync(self, now: float) -> float | None:
        """Return in how many seconds a sync is due, 0 if it is overdue; `None` if nothing has to be synced."""
        since = self._unsynced_since
        return None if since is None else max(0.0, since + self._sync_interval - now)

    def sync(self) -> None:
        """Put what was written on disk, if something was written since the last sync. A failed sync is not repeated."""
        self._unsynced_since = None  # before `written` is read: see `write`
        written = self.written
        if written == self._counted:
            return
        self._counted = written
        try:
            if self._has_sync:
                self._disk.datasync()
        except Exception as exc:  # noqa: BLE001 - as in `_try`
            if not (isinstance(exc, OSError) and exc.errno in NO_FSYNC):
                self._fail("synced", exc)
                return
            self._has_sync = False
            logger.warning("the journal %s may not survive a power cut: it has no fsync (%s)", self.name, exc.strerror)
        self.synced = written

    def close(self) -> None:
        """Sync what was written, if no sync has failed, and close the file."""
        # Also after a failed write: the frames before it are whole.
        self.sync()
        try:
            self._disk.close()
        except FileNotFoundError as exc:
            self._fail("found", exc)
        except OSError as exc:  # some network file systems write when a file is closed
            self._fail("closed", exc)

    def _append(self, records: Sequence[Record]) -> None:
        frames, count = bytearray(), 0
        for number, record in enumerate(records, 1):
            frames += b"".join(_frames(record if self._complete is None else self._complete(record)))
            count += 1
            if len(frames) >= _BLOCK_SIZE or number == len(records):
                self._write(frames)
                if self.failure is not None:
                    return
                self.written += count
                frames, count = bytearray(), 0

    def _write(self, frames: bytearray) -> None:
        left = memoryview(frames)
        # `failure` is looked at before each call: the event loop may have given up the last one, which took too long.
        while left and self.failure is None:
            size = self._disk.write(left)
            if not size:
                raise OSError(errno.EIO, "nothing was written")
            left = left[size:]

    def _try(self, what: str, call: Callable[[], object]) -> bool:
        """Make a call, unless one has failed; return whether it was made and has not failed."""
        if self.failure is None:
            try:
                call()
            except Exception as exc:  # noqa: BLE001 - a bug, or no memory: no run ends because of its journal
                self._fail(what, exc)
        return self.failure is None

    def _fail(self, what: str, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else None
        if reason is None:
            reason = repr(error)
            logger.debug("the journal %s: a bug, or no memory", self.name, exc_info=error)
        self.fail(f"the journal {self.name} cannot be {what} ({reason})")
