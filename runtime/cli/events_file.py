"""`EventsFile`: writes the events of a run to a file or a pipe while it goes, from what its journal has on disk.

Nothing waits for it. A reader that does not read holds up this task and a thread, and no event is lost or kept in
memory meanwhile: they stand in the journal, and are read from there when there is room again.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Iterator
from typing import Final

import trio

from runtime.cli.timed_calls import call_each_with_timeout
from runtime.errors import JournalVersionError
from runtime.jobfile.errors import InputError, shown
from runtime.journal.follower import follow
from runtime.journal.records import Record
from runtime.process import in_thread
from runtime.report.events import EventLines
from runtime.roots import RootedPath

STDOUT: Final = "-"
"""The path that stands for standard output."""

INTERVAL: Final = 0.25
"""Seconds between two looks at the journal. As for `runtime.journal.follower`."""
STANDSTILL: Final = 10.0
"""Seconds without progress after which, when the run has ended, the rest is left out. Arbitrary: ten times more, and a
program that has forgotten to read looks like a hang; ten times less, and a busy one loses the end."""
MOST: Final = 120.0
"""Seconds for the rest in any case, when the run has ended. Arbitrary, as it is for the other files."""

_LOOK: Final = 0.1
"""Seconds after which the thread looks whether it is to give up. Arbitrary: nobody waits for that."""


class EventsFile:
    """The events of one run.

    Args:
        path: that the user gave; `None` for no events.
        interval: seconds between two looks at the journal.
        standstill: seconds without progress after which `finish` leaves out the rest.
    """

    def __init__(self, path: str | None, *, interval: float = INTERVAL, standstill: float = STANDSTILL) -> None:
        self._path = path
        self._interval = interval
        self._standstill = standstill
        self._fd = -1
        self._piece = select.PIPE_BUF
        """Bytes of a write, which does not block when there is room."""
        self._written = 0
        """Bytes so far. The thread alone changes it."""
        self._given_up = False
        """Whether the thread is to write no more."""
        self._finishing = trio.Event()
        self._done = trio.Event()
        self._failure: str | None = None

    def open(self) -> None:
        """Open the file, before any job runs. Blocks for a limited time.

        Raises:
            InputError: if it cannot be written.
        """
        if self._path is None:
            return
        if self._path == STDOUT:
            self._fd = os.dup(1)
        else:
            call_each_with_timeout(self._open, [self._path], what="--events: the file")
        if stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._piece = 1 << 20

    def _open(self, path: str) -> None:
        try:
            # Without waiting for a reader of a FIFO: there has to be one.
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.ftruncate(fd, 0)
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc
            hint = " or a FIFO that is read" if os.path.exists(path) else ""
            raise InputError(f"--events is {shown(path)}: {why}; expected a file that can be written{hint}") from exc
        self._fd = fd

    async def run(self, directory: RootedPath) -> None:
        """Write the events until the run has ended: see `finish`.

        Args:
            directory: the run directory.
        """
        if self._fd < 0:
            self._done.set()
            return
        try:
            await self._follow(directory)
        except BrokenPipeError:
            pass  # its reader has seen enough, which is no failure
        except OSError as exc:
            self._failure = exc.strerror
        except JournalVersionError as exc:
            self._failure = str(exc)
        finally:
            self._given_up = True
            self._done.set()

    async def _follow(self, directory: RootedPath) -> None:
        lines, limiter = EventLines(str(directory)).of, trio.CapacityLimiter(1)
        # It ends whenever there is nothing new: only this process knows whether there will be.
        records = follow(directory, is_live=lambda: False)
        is_last = False
        while not is_last:
            is_last = self._finishing.is_set()  # before the look, which then finds all that there will be
            async for record in records:
                await in_thread(self._write, lines, record, limiter=limiter)
            with trio.move_on_after(self._interval):
                await self._finishing.wait()
        if records.note is not None:
            self._failure = f"the journal cannot be read to its end: {records.note}"

    async def finish(self) -> str | None:
        """Wait until the rest is written, as long as that goes on; return what is not written, and why, in a line.

        For when the journal is complete.
        """
        self._finishing.set()
        with trio.move_on_after(MOST):
            before = -1
            while not self._done.is_set() and before < self._written:
                before = self._written
                with trio.move_on_after(self._standstill):
                    await self._done.wait()
        if not self._done.is_set():
            self._given_up = True
            return f"--events {self._path}: its reader does not read: the rest is not written (report --events has it)"
        return None if self._failure is None else f"--events {self._path} cannot be written: {self._failure}"

    def _write(self, lines: Callable[[Record], Iterator[str]], record: Record) -> None:
        """Write the events of a record. Blocks until there is room, or it is to give up."""
        data = memoryview("".join(lines(record)).encode("ascii"))
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while data and not self._given_up:
            if poll.poll(_LOOK * 1000):
                try:
                    count = os.write(self._fd, data[: self._piece])
                except BlockingIOError:  # others have taken the room
                    continue
                data = data[count:]
                self._written += count

    def close(self) -> None:
        """Close the file. Blocks. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
