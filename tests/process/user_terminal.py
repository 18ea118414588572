"""A terminal with a user in front of it, played by a test."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio


class UserTerminal:
    """The test has the end where the person sits; `fd` is the end that programs have."""

    def __init__(self) -> None:
        self.person, self.fd = os.openpty()
        os.set_blocking(self.person, False)
        self.seen = b""

    def close(self) -> None:
        os.close(self.person)
        os.close(self.fd)

    @property
    def settings(self) -> list[object]:
        return list(termios.tcgetattr(self.fd))

    @property
    def raw(self) -> bool:
        return not termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.person, keys)

    def fill(self) -> None:
        """Show so much that nothing more fits before the person looks."""
        os.set_blocking(self.fd, False)
        # The kernel moves what is written to another buffer by and by: full is what stays full.
        while select.select([], [self.fd], [], 0.1)[1]:
            with suppress(BlockingIOError):
                while True:
                    os.write(self.fd, b"." * 256)
        os.set_blocking(self.fd, True)

    async def see(self, text: bytes) -> None:
        """Wait until `text` has been shown."""
        while text not in self.seen:
            await trio.lowlevel.wait_readable(self.person)
            self.seen += os.read(self.person, 1 << 16)


@contextmanager
def user_terminal() -> Iterator[UserTerminal]:
    terminal = UserTerminal()
    try:
        yield terminal
    finally:
        terminal.close()
