"""A job on the user's terminal: a pty between the two, and a copy of all output in the job's log.

The child has the pty as its controlling terminal, so that the keys that make signals, line editing and full-screen
programs work as they do without us. The user's terminal is raw meanwhile, and as it was before after any end. Nothing
here waits in the event loop: descriptors are read when they are readable, and written in a thread where a write may
block.

If our standard input is no terminal it is copied all the same, and its end becomes the pty's end-of-file character.

Only this module knows terminals; it is for Linux, and imported by whoever needs it.
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
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, Final

import attrs
import trio

from runtime.descriptors import Descriptor
from runtime.process.child import Child, spawn
from runtime.process.foreground import is_foreground, is_output_unwanted, without_stop

logger: Final = logging.getLogger("runtime.process.terminal")

_CHUNK: Final = 1 << 16
_SIZE_INTERVAL: Final = 0.25
"""Seconds between two looks at the window's size. Its signal is not ours: handlers belong to the command line."""

_LAST_WORDS: Final = 1.0
"""Seconds that the user's terminal may take for what is left to show after the job's end."""

_END_OF_FILE: Final = b"\x04"

# A session's leader gets its controlling terminal by opening one.
_ON_TERMINAL: Final = 'exec <>"$0" && exec "$@"'


@attrs.frozen
class Pty:
    """Both ends of a pty, as descriptors."""

    master: int
    """Ours; does not block."""
    slave: int
    """The child's."""

    def close(self) -> None:
        """Close both; whoever is left on it is hung up."""
        os.close(self.master)
        os.close(self.slave)


def open_pty(like: int) -> Pty:
    """Return a new pty, with the settings and the size of the terminal `like`, if that is one."""
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


def spawn_on_pty(pty: Pty, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None) -> Child:
    """Start `argv` with the pty as its controlling terminal. Blocks; arguments and errors as for `spawn`."""
    return spawn(command_on_pty(pty, argv, env=env, cwd=cwd), env=env, cwd=cwd, output=pty.slave)


def command_on_pty(pty: Pty, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None) -> list[str]:
    """Return what has to be started, with the pty's slave as its output, to have `argv` on the pty. Blocks.

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
def raw_terminal(fd: int) -> Iterator[None]:
    """Make the terminal `fd` raw for a block. Does nothing if it is none, or another job of the shell has it."""
    before = None
    if _is_ours(fd):
        with suppress(termios.error):  # it has gone
            before = termios.tcgetattr(fd)
            tty.setraw(fd, termios.TCSANOW)
    if before is None:
        yield
        return
    _raw[fd] = before
    try:
        yield
    finally:
        del _raw[fd]
        with suppress(termios.error), without_stop():
            termios.tcsetattr(fd, termios.TCSANOW, before)


_raw: Final[dict[int, list[Any]]] = {}
"""Terminals that are raw now, and how each was before."""


def restore_terminals() -> None:
    """Make all terminals as they were: for a process that stops, or that ends without leaving its blocks."""
    for fd, before in _raw.items():
        with suppress(termios.error), without_stop():
            termios.tcsetattr(fd, termios.TCSANOW, before)


def take_terminals_again() -> None:
    """Make those raw again that `restore_terminals` has made as they were, unless another job of the shell has them."""
    for fd in _raw:
        if _is_ours(fd):
            with suppress(termios.error):
                tty.setraw(fd, termios.TCSANOW)


@asynccontextmanager
async def attached(
    pty: Pty, log: Descriptor, stdin: int, stdout: int, limiter: trio.CapacityLimiter
) -> AsyncIterator[None]:
    """Connect a pty with the user for a block; at its end, all that was written to it has been copied to `log`.

    Args:
        pty: what the job is on.
        log: gets all output.
        stdin: the user's input: a terminal, a pipe, a file.
        stdout: where the user sees the output. If that cannot be written, the log still is.
        limiter: for threads that write.
    """
    output = _Output(pty.master, log, stdout, limiter)
    with raw_terminal(stdin):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.run)
            async with trio.open_nursery() as others:
                others.start_soon(_copy_input, stdin, pty.master, limiter)
                others.start_soon(_follow_size, stdin, pty.master)
                yield
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
    while data := await _read_input(source, limiter):
        await _write_master(master, data)
        last = data[-1:]
    # In the middle of a line the first one only ends that.
    await _write_master(master, _END_OF_FILE if last == b"\n" else 2 * _END_OF_FILE)


async def _read_input(source: int, limiter: trio.CapacityLimiter) -> bytes:
    try:
        try:
            await trio.lowlevel.wait_readable(source)
            # Another job of the shell has it, whose input that is; nobody tells of a change.
            while os.isatty(source) and not _is_ours(source):  # noqa: ASYNC110 - as above
                await trio.sleep(_SIZE_INTERVAL)
        except PermissionError:  # a file, which is always readable, and cannot be waited for
            return await trio.to_thread.run_sync(os.read, source, _CHUNK, limiter=limiter, abandon_on_cancel=True)
        return os.read(source, _CHUNK)
    except (OSError, trio.BusyResourceError):
        return b""  # closed, hung up, or read by somebody else: an end as well


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
        if is_output_unwanted(fd):
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
    """Copies what comes from the pty to the log and to the user, in this order."""

    def __init__(self, master: int, log: Descriptor, stdout: int, limiter: trio.CapacityLimiter) -> None:
        self._master = master
        self._targets: dict[str, AbstractContextManager[int]] = {_LOG: log, _TERMINAL: nullcontext(stdout)}
        self._limiter = limiter
        self._ended = False
        self._reading = trio.CancelScope()
        self._showing = trio.CancelScope()
        self._show_until = math.inf

    def end(self) -> None:
        """Say that the job has ended: what is there already is still copied."""
        self._ended = True
        self._reading.cancel()
        self._show_until = self._showing.deadline = trio.current_time() + _LAST_WORDS

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        while data := await self._read():
            for name, target in list(self._targets.items()):
                try:
                    with trio.CancelScope() as scope:
                        if name == _TERMINAL:
                            self._showing = scope
                            scope.deadline = self._show_until
                        await trio.to_thread.run_sync(
                            _write_all, target, data, limiter=self._limiter, abandon_on_cancel=True
                        )
                    failed = "it takes nothing" if scope.cancelled_caught else None
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
