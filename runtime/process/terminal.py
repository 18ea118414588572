"""A job on the user's terminal: a pty between the two, and a copy of all output in the job's log.

The pty is the controlling terminal of the child, so that keys that send signals, line editing and full-screen programs
work as without the runtime. The user's terminal is in raw mode meanwhile, and is restored at any end. Nothing here
blocks the event loop: descriptors are read when they are readable, and written in a thread where a write may block.

A standard input that is no terminal is copied, too, and its end becomes the end-of-file character of the pty.

Only this module and `foreground` know terminals. It needs Linux, so callers import it where they need it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import math
import os
import select
import shutil
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Final

import attrs
import trio

from runtime.descriptors import Descriptor
from runtime.process.foreground import is_foreground, without_stop, would_stop_writer

logger: Final = logging.getLogger("runtime.process.terminal")

_CHUNK: Final = 1 << 16
_SIZE_INTERVAL: Final = 0.25
"""Seconds between two polls of the window's size. SIGWINCH is not used: handlers belong to the embedding program.
Arbitrary: ten times longer, and a full-screen program is drawn wrong for seconds; shorter costs system calls only."""

_DRAIN_TIMEOUT: Final = 1.0
"""Seconds after the job's end within which the user's terminal must take the rest of its output. Arbitrary: ten times
longer, and a terminal that is paused (Ctrl-S) holds up the end; ten times shorter, and a slow one loses output."""

_END_OF_FILE: Final = b"\x04"

# A session's leader gets its controlling terminal by opening one.
_ON_TERMINAL: Final = 'exec <>"$0" && exec "$@"'


@attrs.frozen
class Pty:
    """Both ends of a pty, as descriptors."""

    master: int
    """The end of the runtime; non-blocking."""
    slave: int
    """The end of the child."""

    def close(self) -> None:
        """Close both; processes that still have the pty get a hang-up."""
        os.close(self.master)
        os.close(self.slave)


def open_pty(like: int) -> Pty:
    """Return a new pty, with the settings and the size of `like` if that is a terminal."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    if os.isatty(like):
        termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(like))
        copy_size(like, master)
    return Pty(master, slave)


def copy_size(source: int, target: int) -> None:
    """Give the terminal `target` the window size of the terminal `source`, if both are terminals."""
    with suppress(OSError):
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8))
        if size != fcntl.ioctl(target, termios.TIOCGWINSZ, bytes(8)):
            fcntl.ioctl(target, termios.TIOCSWINSZ, size)


def command_on_pty(pty: Pty, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None) -> list[str]:
    """Return the command that runs `argv` on the pty, if it is started with the slave as its output. Blocks.

    Raises:
        FileNotFoundError: if there is no such program.
    """
    program = argv[0]
    if os.sep in program:
        program = os.path.join(cwd or "", program)
    if shutil.which(program, path=env.get("PATH", os.defpath)) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    return ["/bin/sh", "-c", _ON_TERMINAL, os.ttyname(pty.slave), *argv]


@contextmanager
def raw_terminal(fd: int, set_mode: _SetMode = tty.setraw) -> Iterator[bool]:
    """Put the terminal `fd` into raw mode for a block. Does nothing in the background, or if it is no terminal.

    Args:
        fd: its descriptor.
        set_mode: sets the mode; `tty.setcbreak` lets keys that send signals do so, and newlines be as usual.

    Returns:
        By the block: whether it is in that mode.
    """
    before = None
    if _is_ours(fd):
        with suppress(termios.error):  # it was closed
            before = termios.tcgetattr(fd)
            set_mode(fd, termios.TCSANOW)
    if before is None:
        yield False
        return
    _raw[fd] = before, set_mode
    try:
        yield True
    finally:
        del _raw[fd]
        with suppress(termios.error), without_stop():
            termios.tcsetattr(fd, termios.TCSANOW, before)


_SetMode = Callable[[int, int], object]

_raw: Final[dict[int, tuple[list[int | list[bytes | int]], _SetMode]]] = {}
"""The terminals in raw mode, with their settings before, and what has set the mode."""


def restore_terminals() -> None:
    """Restore all terminals in raw mode: for a process that is suspended, or exits without leaving its blocks."""
    for fd, (before, _) in _raw.items():
        with suppress(termios.error), without_stop():
            termios.tcsetattr(fd, termios.TCSANOW, before)


def make_terminals_raw_again() -> None:
    """Put terminals that `restore_terminals` has restored into raw mode again, if this is in the foreground."""
    for fd, (_, set_mode) in _raw.items():
        if _is_ours(fd):
            with suppress(termios.error):
                set_mode(fd, termios.TCSANOW)


@asynccontextmanager
async def attached(
    pty: Pty, log: Descriptor, stdin: int, stdout: int, limiter: trio.CapacityLimiter
) -> AsyncIterator[None]:
    """Connect a pty with the user for a block; at its end, all output of the job has been copied to `log`.

    Args:
        pty: the terminal of the job.
        log: receives all output.
        stdin: the user's input: a terminal, a pipe, a file.
        stdout: where the user sees the output. If it cannot be written, the log still is.
        limiter: for the threads that write.
    """
    output = _Output(pty.master, log, stdout, limiter)
    with raw_terminal(stdin):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.run)
            async with trio.open_nursery() as others:
                others.start_soon(_copy_input, stdin, pty.master, limiter)
                others.start_soon(_follow_size, stdin, pty.master)
                yield
                # The output task goes on: what the job has written is still copied.
                others.cancel_scope.cancel()
            output.end()


def _is_ours(fd: int) -> bool:
    return os.isatty(fd) and is_foreground(fd)


@trio.lowlevel.enable_ki_protection
async def _follow_size(source: int, target: int) -> None:
    while os.isatty(source):
        copy_size(source, target)
        await trio.sleep(_SIZE_INTERVAL)


@trio.lowlevel.enable_ki_protection
async def _copy_input(source: int, master: int, limiter: trio.CapacityLimiter) -> None:
    if os.isatty(source) and not _is_ours(source):
        return
    last = b"\n"
    while data := await read_input(source, limiter):
        await _write_master(master, data)
        last = data[-1:]
    # In the middle of a line the first end-of-file character only submits that line.
    await _write_master(master, _END_OF_FILE if last == b"\n" else 2 * _END_OF_FILE)


async def read_input(source: int, limiter: trio.CapacityLimiter) -> bytes:
    """Wait for what the user types, and return it; empty at the end of the input.

    Args:
        source: the user's input: a terminal, a pipe, a file. In the background of a terminal nothing is read.
        limiter: for the thread that reads a file.
    """
    try:
        try:
            while True:
                await trio.lowlevel.wait_readable(source)
                if not os.isatty(source) or _is_ours(source):
                    break
                # In the background this input is for another job of the shell. No event reports a change. When there
                # is one, what was readable has been read: it is waited for anew, because a read would block the loop.
                await trio.sleep(_SIZE_INTERVAL)
        except PermissionError:  # a regular file: epoll does not support it
            return await trio.to_thread.run_sync(os.read, source, _CHUNK, limiter=limiter, abandon_on_cancel=True)
        return os.read(source, _CHUNK)
    except (OSError, trio.BusyResourceError):
        return b""  # closed, hung up, or read by another task: an end as well


async def _write_master(master: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(master, data) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(master)
        except OSError:
            return


def _write_all(target: AbstractContextManager[int], data: bytes) -> None:
    with target as fd:
        if would_stop_writer(fd):
            return
        with without_stop():
            while data:
                try:
                    data = data[os.write(fd, data) :]
                except BlockingIOError:
                    select.select([], [fd], [])


_LOG: Final = "the log"
_TERMINAL: Final = "the terminal"


class _Output:
    """Copies the output of the pty to the log and to the user, in this order."""

    def __init__(self, master: int, log: Descriptor, stdout: int, limiter: trio.CapacityLimiter) -> None:
        self._master = master
        self._targets: dict[str, AbstractContextManager[int]] = {_LOG: log, _TERMINAL: nullcontext(stdout)}
        self._limiter = limiter
        self._ended = False
        self._reading = trio.CancelScope()
        self._showing = trio.CancelScope()
        self._show_until = math.inf

    def end(self) -> None:
        """Note that the job has ended: output that was written is still copied."""
        self._ended = True
        self._reading.cancel()
        self._show_until = self._showing.deadline = trio.current_time() + _DRAIN_TIMEOUT

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        while data := await self._read():
            # A copy, as a target that fails is removed.
            for name, target in list(self._targets.items()):
                try:
                    with trio.CancelScope() as scope:
                        if name == _TERMINAL:
                            self._showing = scope
                            scope.deadline = self._show_until
                        await trio.to_thread.run_sync(
                            _write_all, target, data, limiter=self._limiter, abandon_on_cancel=True
                        )
                    failed = "it accepts no output" if scope.cancelled_caught else None
                except OSError as exc:
                    failed = str(exc)
                if failed is not None:
                    del self._targets[name]
                    logger.warning("the output of the interactive job no longer goes to %s: %s", name, failed)

    async def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._master, _CHUNK)
            except BlockingIOError:
                if self._ended:
                    return b""
                with trio.CancelScope() as self._reading:
                    await trio.lowlevel.wait_readable(self._master)
            except OSError:
                return b""
