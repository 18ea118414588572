"""`Commands`: runs short commands, each in a process group of its own, with a time limit.

Output goes to files in memory (`memfd_create`), not to pipes: so a command never blocks on a reader, and a process that
it leaves behind with the descriptor open is not waited for. It is killed, unless it has left the process group.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import trio

from runtime.errors import BackendBrokenError
from runtime.process import SIGCHLD_IGNORED, UNKNOWN, Child, ignores_sigchld, in_thread, spawn
from runtime.process.threads import in_background

_THREADS: Final = 4
"""Threads that start commands. Arbitrary: seldom more than one command runs at a time."""
MAX_OUTPUT: Final = 1 << 28
"""Bytes that a command may print: a million rows of squeue. Arbitrary: with a tenth, the listings of the largest runs
are refused; with ten times as many, a command that went wrong fills the memory."""

_LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks at how much a command has printed. Arbitrary: in ten times as many, one that prints without
end fills gigabytes; with a tenth, each command that takes seconds wakes the event loop a hundred times a second."""

_END_TIMEOUT: Final = 1.0
"""Seconds that a command may take to die of SIGKILL, before a thread waits for that. Arbitrary: it takes milliseconds,
unless its file system does not answer; ten times longer, and such a command delays the end of a run by as much."""


@attrs.frozen
class CommandResult:
    """How a command ended, and its output."""

    code: int | None
    """Its exit code; `None` if a signal ended it, such as ours, if it could not be started, or printed too much."""
    output: str
    errors: str
    timed_out: bool = False
    """Whether it was killed after its timeout."""
    too_much: bool = False
    """Whether it printed more than it may; then it was killed, unless it had ended. `output` has the beginning."""
    missing: bool = False
    """Whether there is no such program, or none that may be executed."""


class Commands:
    """Runs commands in one environment.

    Args:
        environment: the environment of the commands.
        timeout: seconds after which a command is killed; `None` for no limit.
        max_output: bytes of its standard output, and of its standard error, beyond which it is killed.
    """

    def __init__(self, environment: Mapping[str, str], timeout: float | None, *, max_output: int = MAX_OUTPUT) -> None:
        self._environment = environment
        self._timeout = math.inf if timeout is None else timeout
        self._max_output = max_output
        self._threads = trio.CapacityLimiter(_THREADS)

    async def run(self, argv: Sequence[str]) -> CommandResult:
        """Run a command, and return how it ended.

        Its process group is killed when it has ended, after the timeout, if it prints too much, and on cancellation.

        Cancellation is prompt, also while it is being started from a file system that does not answer; it takes at most
        a second if the command does not die.

        Raises:
            BackendBrokenError: if SIGCHLD is ignored, so that exit codes are lost.
        """
        start = _CommandStart(argv, self._environment)
        try:
            started = await in_thread(start.run, limiter=self._threads, wait_for_thread=False)
        except OSError as exc:  # no thread can be started
            return _not_started(argv, exc)
        except trio.Cancelled:
            start.abandon()
            raise
        if isinstance(started, CommandResult):
            return started
        try:
            with trio.move_on_after(self._timeout) as scope:
                await started.wait_ended(self._max_output)
            return started.result(timed_out=scope.cancelled_caught, timeout=self._timeout, most=self._max_output)
        finally:
            await started.aclose()


class _CommandStart:
    """The start of a command in a thread, which can be abandoned at any time."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._argv = argv
        self._environment = environment
        self._lock = threading.Lock()
        self._abandoned = False
        self._started: _Started | None = None

    def run(self) -> _Started | CommandResult:
        """Return the command that runs, or why none does. Blocks."""
        started = _start(self._argv, self._environment)
        if isinstance(started, CommandResult):
            return started
        with self._lock:
            # Under the lock: either `abandon` finds it, or it is ended here.
            if not self._abandoned:
                self._started = started
                return started
        started.destroy()
        return CommandResult(None, "", f"the start of {self._argv[0]} was cancelled")

    def abandon(self) -> None:
        """End the command, now or as soon as it was started. Does not block."""
        with self._lock:
            self._abandoned = True
            started = self._started
        if started is not None:  # it was started just when the call was cancelled
            in_background(started.destroy)


@attrs.define(eq=False)
class _Started:
    """A command that runs."""

    child: Child
    output: int
    """The descriptor of its standard output."""
    errors: int
    """The descriptor of its standard error."""
    name: str
    """The name of its program."""

    async def wait_ended(self, most: int) -> None:
        """Wait until it has exited, or has printed more than `most` bytes."""
        exited = False
        while not exited and not self._has_printed_more(most):
            with trio.move_on_after(_LOOK_INTERVAL):
                await self.child.wait_exited()
                exited = True

    def _has_printed_more(self, most: int) -> bool:
        return any(os.fstat(fd).st_size > most for fd in (self.output, self.errors))

    def result(self, *, timed_out: bool, timeout: float, most: int) -> CommandResult:
        """Return its result, and reap it; not if it `timed_out`, or has printed too much: then it may still run."""
        output, errors = _read(self.output, most), _read(self.errors, most)
        if timed_out:
            return CommandResult(None, output, f"{errors}\nit did not return within {timeout:g} s", timed_out=True)
        if self._has_printed_more(most):
            return CommandResult(None, output, f"{errors}\nit printed more than {most} bytes", too_much=True)
        self.child.signal_group(signal.SIGKILL)  # what it has left behind, while nobody else can have the number
        how = self.child.reap()
        if how is UNKNOWN and ignores_sigchld():  # no command's exit code can be read any more
            raise _forgotten(self.name)
        return CommandResult(how.code, output, errors)

    async def aclose(self) -> None:
        """Kill it if it runs, and close its descriptors. Shielded, for at most `_END_TIMEOUT` seconds."""
        if not self.child.reaped:
            self.child.signal_group(signal.SIGKILL)
            with trio.move_on_after(_END_TIMEOUT, shield=True):
                await self.child.wait_exited()
            if not self.child.has_exited():
                in_background(self.destroy)  # in this thread, it would hold up the event loop until it dies
                return
        self.destroy()

    def destroy(self) -> None:
        """Kill it if it runs, and close its descriptors. Blocks until it has died."""
        if not self.child.reaped:
            self.child.destroy()
        self.child.close()
        os.close(self.output)
        os.close(self.errors)


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> _Started | CommandResult:
    output = errors = -1
    try:
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        # In "/", so that a command that hangs does not keep a file system busy.
        return _Started(spawn(argv, env=environment, cwd="/", output=output, errors=errors), output, errors, argv[0])
    except OSError as exc:
        for fd in (output, errors):
            if fd >= 0:
                os.close(fd)
        if isinstance(exc, ChildProcessError) and ignores_sigchld():
            raise _forgotten(argv[0]) from exc
        return _not_started(argv, exc)


def _forgotten(name: str) -> BackendBrokenError:
    return BackendBrokenError(f"the exit code of {name} is lost: {SIGCHLD_IGNORED}")


def _not_started(argv: Sequence[str], error: OSError) -> CommandResult:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)
    return CommandResult(None, "", f"{argv[0]} cannot be started: {error.strerror}", missing=missing)


def _read(fd: int, most: int) -> str:
    return os.pread(fd, most, 0).decode("utf-8", "replace")
