"""`TokenPipes`: the pipes between the jobserver and one job, for both forms of make's protocol. See `jobserver`.

A token is a byte. In the *pipe form* the job has two descriptors: it reads tokens from one, and writes them back to the
other. The protocol allows both to be the same pipe; here they are two, so that a token which comes back is an event,
and tells from which job it comes. In the *FIFO form* the job has a path, which it opens for reading and for writing.

Nothing here blocks. A job may write what it likes into its pipes, and cannot write into those of another job.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import termios
from contextlib import suppress
from typing import Final, Protocol

import trio

from runtime.process import FIRST_INHERITED

_TOKEN: Final = b"+"
"""What GNU make writes."""

_MAX_READ: Final = 1 << 16
"""Bytes: as many as fit into a pipe."""

_LOOK_INTERVAL: Final = 0.05
"""Seconds between two looks at a FIFO: nothing tells that a token was taken or returned. Arbitrary: ten times longer,
and a job that waits for a slot waits as much longer; ten times shorter, and a run that waits uses a percent of a CPU
for each such job."""


class TokenPipes(Protocol):
    """The pipes of one job."""

    @property
    def makeflags(self) -> str:
        """The options that tell a client where its tokens are, for the variable ``MAKEFLAGS``."""

    def take_inherited(self) -> tuple[int, ...]:
        """Return the descriptors that the job inherits, from `FIRST_INHERITED` on; the caller closes them."""

    def put(self, count: int) -> int:
        """Put tokens in; return how many."""

    def take_out(self, count: int) -> int:
        """Take up to `count` tokens out; return how many."""

    def in_pipe(self) -> int:
        """Return how many tokens the job may take."""

    def returned(self) -> int | None:
        """Return how many tokens were written back since the last call; `None` if none will be any more."""

    async def wait_returned(self) -> None:
        """Wait until `returned` may have something new. Not to be called after it has returned `None`."""

    async def wait_empty(self) -> None:
        """Wait until the job has taken all tokens. Returns at once if none was put in."""

    def close(self) -> None:
        """Close all descriptors. No task may wait. Idempotent."""


class PipePair:
    """The pipe form: two descriptors, which the job inherits.

    Raises:
        OSError: when it is made, if there is no descriptor left.
    """

    makeflags: Final = "-j --jobserver-fds={0},{1} --jobserver-auth={0},{1}".format(
        FIRST_INHERITED, FIRST_INHERITED + 1
    )
    """See `TokenPipes`. The first option is for make 4.1 and older; each version ignores that of the others."""

    def __init__(self) -> None:
        self._inherited: list[int] = []
        self._ours: list[int] = []
        try:
            taken, self._tokens = os.pipe2(os.O_CLOEXEC)
            self._inherited.append(taken)
            self._ours.append(self._tokens)
            self._back, returned = os.pipe2(os.O_CLOEXEC)
            self._inherited.append(returned)
            self._ours.append(self._back)
            # A second end, because whether a read waits is a property that all which inherit an end share.
            self._taken = os.open(f"/proc/self/fd/{taken}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._ours.append(self._taken)
            os.set_blocking(self._tokens, False)
            os.set_blocking(self._back, False)
            # With the capacity of a single page, a pipe can be written to when it is empty, and not before: the event
            # that the job has taken all. Its bytes share that page.
            fcntl.fcntl(self._tokens, fcntl.F_SETPIPE_SZ, mmap.PAGESIZE)
        except BaseException:
            self.close()
            raise

    def take_inherited(self) -> tuple[int, ...]:
        """See `TokenPipes`."""
        inherited, self._inherited = tuple(self._inherited), []
        return inherited

    def put(self, count: int) -> int:
        """See `TokenPipes`."""
        return _put(self._tokens, count)

    def take_out(self, count: int) -> int:
        """See `TokenPipes`."""
        return _take_out(self._taken, count)

    def in_pipe(self) -> int:
        """See `TokenPipes`."""
        return _in_pipe(self._taken)

    def returned(self) -> int | None:
        """See `TokenPipes`."""
        try:
            return len(os.read(self._back, _MAX_READ)) or None
        except BlockingIOError:
            return 0

    async def wait_returned(self) -> None:
        """See `TokenPipes`."""
        await trio.lowlevel.wait_readable(self._back)

    async def wait_empty(self) -> None:
        """See `TokenPipes`."""
        await trio.lowlevel.wait_writable(self._tokens)

    def close(self) -> None:
        """See `TokenPipes`."""
        _close(*self.take_inherited(), *self._ours)
        self._ours = []


class Fifo:
    """The FIFO form: a path. It is that of a descriptor of ours in ``/proc``, so that there is no file to remove.

    Raises:
        OSError: when it is made, if there is no descriptor left.
    """

    def __init__(self) -> None:
        self._ours: list[int] = []
        try:
            self._ours += os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except BaseException:
            self.close()
            raise
        self._taken, self._tokens = self._ours
        self.makeflags: str = f"-j --jobserver-auth=fifo:/proc/{os.getpid()}/fd/{self._taken}"
        """See `TokenPipes`."""

    def take_inherited(self) -> tuple[int, ...]:
        """See `TokenPipes`."""
        return ()

    def put(self, count: int) -> int:
        """See `TokenPipes`."""
        return _put(self._tokens, count)

    def take_out(self, count: int) -> int:
        """See `TokenPipes`."""
        return _take_out(self._taken, count)

    def in_pipe(self) -> int:
        """See `TokenPipes`."""
        return _in_pipe(self._taken)

    def returned(self) -> int | None:
        """Return 0: what comes back is in the pipe."""
        return 0

    async def wait_returned(self) -> None:
        """Wait until it is time to look."""
        await trio.sleep(_LOOK_INTERVAL)

    async def wait_empty(self) -> None:
        """Wait for ever: `wait_returned` looks at it."""
        await trio.sleep_forever()

    def close(self) -> None:
        """See `TokenPipes`."""
        _close(*self._ours)
        self._ours = []


def make_token_pipes(form: object) -> TokenPipes:
    """Return new pipes, in the form that a `JobSpec.jobserver` asks for.

    Raises:
        OSError: if there is no descriptor left.
    """
    return Fifo() if form == "fifo" else PipePair()


def _put(fd: int, count: int) -> int:
    with suppress(BlockingIOError):
        return os.write(fd, _TOKEN * count)
    return 0


def _take_out(fd: int, count: int) -> int:
    with suppress(BlockingIOError):
        return len(os.read(fd, count))
    return 0


def _in_pipe(fd: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))
    return int(count)


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        os.close(fd)
