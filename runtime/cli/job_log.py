"""The command ``logs``: prints the log of a job, also while the job runs.

What the job wrote is printed byte for byte; but on a terminal, control characters are escaped, because a job must not
control the terminal of who reads its log.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from typing import BinaryIO, Final

import trio

from runtime.job.status import TERMINAL
from runtime.journal.follower import follow
from runtime.journal.replay import RunState
from runtime.process import in_thread
from runtime.report.output import Output
from runtime.report.text import printable_line
from runtime.roots import RootedPath

POLL_INTERVAL: Final = 0.25
"""Seconds between two looks at a log that has nothing new. Arbitrary: for people; ten times more looks like a hang, ten
times less asks a network file system 40 times a second."""
_BLOCK_SIZE: Final = 1 << 16
"""Bytes that are printed at a time. Arbitrary: a tenth costs more calls, ten times as much is held in memory."""


class LogPrinter:
    """Prints a log from its beginning on, in any number of steps. Every method blocks: for threads.

    Args:
        open_log: opens it; may raise `OSError`.
        output: standard output.
    """

    def __init__(self, open_log: Callable[[], BinaryIO], output: Output) -> None:
        self._open_log = open_log
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace") if output.is_terminal else None
        self._file: BinaryIO | None = None

    def print_new(self) -> bool:
        """Print what is new; return whether anyone reads it.

        Raises:
            OSError: if the log is not there (yet), cannot be read, or is no regular file.
        """
        if self._file is None:
            self._file = self._open_log()
        while not self._output.gone and (block := self._file.read(_BLOCK_SIZE)):
            self._print(block)
        return not self._output.gone

    def print_all_new(self) -> bool:
        """Print what is new, also in the logs of later attempts, each of which takes the path of the one before.

        Returns and raises as `print_new`.
        """
        is_read = self.print_new()
        while is_read and self._file is not None and (later := self._open_later(self._file)) is not None:
            is_read = self.print_new()  # the attempt has ended meanwhile: what it wrote last
            self.close()
            self._file = later
            is_read = is_read and self.print_new()
        return is_read

    def _open_later(self, file: BinaryIO) -> BinaryIO | None:
        """Return what has the path of the log now, if that is another file; `None` if it is not, or nothing has it."""
        try:
            later = self._open_log()
        except FileNotFoundError:  # the next attempt has not made it yet
            return None
        if os.path.sameopenfile(file.fileno(), later.fileno()):
            later.close()
            return None
        return later

    def _print(self, content: bytes, *, last: bool = False) -> None:
        if self._decoder is None:
            self._output.write_bytes(content)
        else:
            lines = self._decoder.decode(content, last).split("\n")
            self._output.write("\n".join(map(printable_line, lines)))

    def close(self) -> None:
        """Print what is left of a character that was cut off, and close the log. Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            self._print(b"", last=True)
            file.close()


async def follow_log(directory: RootedPath, number: int, printer: LogPrinter) -> None:
    """Print a log until its job has ended, or its run, or nobody reads it any more. A cancel is prompt.

    If the job is tried again, the log of the next attempt follows, unless that comes and goes between two looks.

    Args:
        directory: the run directory.
        number: the number of the job.
        printer: prints the log; it is not closed.

    Raises:
        OSError: if the log cannot be read, or is not there when its job has ended; or if the journal cannot be read.
    """
    ended = trio.Event()
    failures: list[OSError] = []  # not raised in the nursery, which would wrap them in a group
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait_for_end, directory, number, ended, failures)
        await print_until(ended, printer, failures)
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def print_until(ended: trio.Event, printer: LogPrinter, failures: list[OSError]) -> None:
    """Print a log until `ended` is set and all that was there then is printed; or it cannot be printed, or read.

    An error is added to `failures`, and not raised.
    """
    limiter = trio.CapacityLimiter(1)
    is_over = False
    while not is_over:
        is_over = ended.is_set()  # before the log is read: what the job wrote before it ended is found then
        try:
            is_over |= not await in_thread(printer.print_all_new, limiter=limiter)
        except OSError as exc:
            if is_over or not isinstance(exc, FileNotFoundError):  # a job that has just begun makes it soon
                failures.append(exc)
                return
        if not is_over:
            with trio.move_on_after(POLL_INTERVAL):
                await ended.wait()


async def _wait_for_end(directory: RootedPath, number: int, ended: trio.Event, failures: list[OSError]) -> None:
    """Set `ended` when a job has ended, or its run."""
    state = RunState(str(directory))
    try:
        async for record in follow(directory):
            state.apply(record)
            if number < len(state.ids) and state.statuses[number] in TERMINAL:
                break
    except OSError as exc:
        failures.append(exc)
    ended.set()
