"""`Commands`: runs short commands, each in a process group of its own, with a time limit.

Output goes to files in memory (`memfd_create`), not to pipes: so a command never blocks on a reader, and a process that
it leaves behind with the descriptor open is not waited for.
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
_MAX_OUTPUT_BYTES: Final = 1 << 28
"""Bytes of output that are read: a million rows of squeue. Arbitrary: with a tenth, the listings of the largest runs
are cut off and never complete; with ten times as many, a command that went wrong fills the memory."""

_END_TIMEOUT: Final = 1.0
"""Seconds that a command may take to die of SIGKILL, before a thread waits for that. Arbitrary: it takes milliseconds,
unless its file system does not answer; ten times longer, and such a command delays the end of a run by as much."""


@attrs.frozen
class CommandResult:
    """How a command ended, and its output."""

    code: int | None
    """Its exit code; `None` if a signal ended it, such as ours after the timeout, or if it could not be started."""
    output: str
    errors: str
    timed_out: bool = False
    """Whether it was killed after its timeout."""
    missing: bool = False
    """Whether there is no such program, or none that may be executed."""


class Commands:
    """Runs commands in one environment.

    Args:
        environment: the environment of the commands.
        timeout: seconds after which a command is killed; `None` for no limit.
    """

    def __init__(self, environment: Mapping[str, str], timeout: float | None) -> None:
        self._environment = environment
        self._timeout = math.inf if timeout is None else timeout
        self._threads = trio.CapacityLimiter(_THREADS)

    async def run(self, argv: Sequence[str]) -> CommandResult:
        """Run a command, and return how it ended. Its process group is killed after the timeout, and on cancellation.

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
                await started.child.wait_exited()
            return started.result(timed_out=scope.cancelled_caught, timeout=self._timeout)
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

    def result(self, *, timed_out: bool, timeout: float) -> CommandResult:
        """Return its result, and reap it. If it `timed_out` it still runs, and is not reaped."""
        if timed_out:
            errors = f"{_read(self.errors)}\nit did not return within {timeout:g} s"
            return CommandResult(None, _read(self.output), errors, timed_out=True)
        how = self.child.reap()
        if how is UNKNOWN and ignores_sigchld():  # no command's exit code can be read any more
            raise _forgotten(self.name)
        code = how.code
        return CommandResult(code, _read(self.output), _read(self.errors))

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


def _read(fd: int) -> str:
    return os.pread(fd, _MAX_OUTPUT_BYTES, 0).decode("utf-8", "replace")
