"""`Commands`: runs the commands of a batch system, each in a process group of its own, with a time limit.

Output goes to files in memory (`memfd_create`), not to pipes: so a command never blocks on a reader, and a process that
it leaves behind with the descriptor open is not waited for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import trio

from runtime.errors import BackendBrokenError
from runtime.process import SIGCHLD_IGNORED, UNKNOWN, Child, ignores_sigchld, in_thread, spawn

_THREADS: Final = 4
"""Threads that start commands. Arbitrary: seldom more than one command runs at a time."""
_MAX_OUTPUT_BYTES: Final = 1 << 28
"""Bytes of output that are read: a million rows of squeue. Arbitrary: with a tenth, the listings of the largest runs
are cut off and never complete; with ten times as many, a command that went wrong fills the memory."""


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

        Raises:
            BackendBrokenError: if SIGCHLD is ignored, so that exit codes are lost.
        """
        # Shielded: a cancel between the fork and our knowledge of the child would leave a process behind.
        with trio.CancelScope(shield=True):
            try:
                started = await in_thread(_start, argv, self._environment, limiter=self._threads, wait_for_thread=False)
            except OSError as exc:  # no thread can be started
                return _not_started(argv, exc)
        if isinstance(started, CommandResult):
            return started
        try:
            with trio.move_on_after(self._timeout) as scope:
                await started.child.wait_exited()
            return started.finish(timed_out=scope.cancelled_caught, timeout=self._timeout)
        finally:
            started.close()  # also kills it, if this call was cancelled


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

    def finish(self, *, timed_out: bool, timeout: float) -> CommandResult:
        """Reap it and return its result. If it `timed_out`, it is killed first."""
        if timed_out:
            self.child.destroy()
            errors = f"{_read(self.errors)}\nit did not return within {timeout:g} s"
            return CommandResult(None, _read(self.output), errors, timed_out=True)
        how = self.child.reap()
        if how is UNKNOWN and ignores_sigchld():  # no command's exit code can be read any more
            raise _forgotten(self.name)
        code = how.code
        return CommandResult(code, _read(self.output), _read(self.errors))

    def close(self) -> None:
        """Kill it if it runs, and close its descriptors."""
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
