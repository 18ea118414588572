"""A directory in which a hostile job is watched from outside.

Whether processes are alive is seen in two ways: by the locks that `tests.process.hostile` takes, and by a FIFO that
every process of a job inherits, which is at its end only when none is alive. The FIFO has no gap between the start of a
process and its lock.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

from tests.process import hostile


class HostileJob:
    """One hostile job of a mode; `close` it.

    Args:
        directory: must not exist.
        mode: one of `hostile.MODES`.
    """

    def __init__(self, directory: Path, mode: str) -> None:
        self.mode = mode
        self.directory = directory
        self.locks = directory / "locks"
        self.locks.mkdir(parents=True)
        os.mkfifo(directory / "fifo")
        self._fifo = os.open(directory / "fifo", os.O_RDONLY | os.O_NONBLOCK)

    @property
    def cmd(self) -> list[str]:
        """The command of the job."""
        return [sys.executable, "-I", "-S", hostile.__file__, self.mode, str(self.directory)]

    async def wait_started(self) -> None:
        """Wait until all processes of the mode have been started."""
        for _ in range(hostile.PROCESSES[self.mode]):
            await self._read()

    async def _read(self) -> bytes:
        while True:
            try:
                data = os.read(self._fifo, 1)
            except BlockingIOError:
                data = b""
            if data:
                return data
            await trio.lowlevel.wait_readable(self._fifo)
            # Before the first process has opened the FIFO, it is at its end: this is a short busy wait.
            await trio.lowlevel.checkpoint()

    def alive(self) -> bool:
        """Whether any process is alive."""
        while True:
            try:
                if not os.read(self._fifo, 1 << 16):
                    return bool(self.survivors())
            except BlockingIOError:
                return True

    def survivors(self) -> list[str]:
        """Return the names of the locks that are held."""
        return hostile.survivors(self.locks)

    async def wait_gone(self) -> None:
        """Wait until no process is alive."""
        while self.alive():
            await trio.lowlevel.wait_readable(self._fifo)

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fifo)
