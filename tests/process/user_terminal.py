"""A terminal whose user is a test."""

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
    """A pty: the test uses the end `user`, programs use `fd`."""

    def __init__(self) -> None:
        self.user, self.fd = os.openpty()
        os.set_blocking(self.user, False)
        self.seen = b""

    def close(self) -> None:
        os.close(self.user)
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
        os.write(self.user, keys)

    def fill(self) -> None:
        """Write output until the terminal accepts no more before the user reads."""
        os.set_blocking(self.fd, False)
        # The kernel moves the output to another buffer with a delay: it is full when it stays full.
        while select.select([], [self.fd], [], 0.1)[1]:
            with suppress(BlockingIOError):
                while True:
                    os.write(self.fd, b"." * 256)
        os.set_blocking(self.fd, True)

    async def see(self, text: bytes) -> None:
        """Read output until `text` has been shown."""
        while text not in self.seen:
            await trio.lowlevel.wait_readable(self.user)
            self.seen += os.read(self.user, 1 << 16)


@contextmanager
def user_terminal() -> Iterator[UserTerminal]:
    terminal = UserTerminal()
    try:
        yield terminal
    finally:
        terminal.close()
