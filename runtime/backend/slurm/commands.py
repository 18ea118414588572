"""Runs the commands of a batch system: each in a process group of its own, and only for so long.

What a command says goes to files in memory. So it never waits for a reader, and whoever it leaves behind, holding its
output, is waited for by nobody.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import trio

from runtime.errors import BackendBrokenError
from runtime.process import SIGCHLD_IGNORED, UNKNOWN, Child, forgets_children, in_thread, spawn

_THREADS: Final = 4
"""For starting commands. One runs at a time, or a few."""
_MAX_OUTPUT_BYTES: Final = 1 << 28
"""Bytes of output that are read: a million rows. Arbitrary."""


@attrs.frozen
class CommandResult:
    """How a command ended, and what it said."""

    code: int | None
    """Its exit code; `None` if a signal, such as ours at the timeout, ended it, or if it could not be started."""
    output: str
    errors: str
    timed_out: bool = False
    """Whether it was killed at its timeout."""
    missing: bool = False
    """Whether there is no such program, as far as we may look."""


class Commands:
    """Runs commands in one environment.

    Args:
        environment: theirs.
        timeout: seconds that each may take; `None` for no limit.
    """

    def __init__(self, environment: Mapping[str, str], timeout: float | None) -> None:
        self._environment = environment
        self._timeout = math.inf if timeout is None else timeout
        self._threads = trio.CapacityLimiter(_THREADS)

    async def run(self, argv: Sequence[str]) -> CommandResult:
        """Run a command; past its timeout its process group is killed. Cancelling kills it, too.

        Raises:
            BackendBrokenError: if the system no longer says how commands end.
        """
        # The start is seen through, so that no process is left of which nobody knows.
        with trio.CancelScope(shield=True):
            try:
                started = await in_thread(_start, argv, self._environment, limiter=self._threads, wait_for_room=False)
            except OSError as exc:  # there is no thread
                return _not_started(argv, exc)
        if isinstance(started, CommandResult):
            return started
        try:
            with trio.move_on_after(self._timeout) as scope:
                await started.child.wait_exited()
            return started.finish(timed_out=scope.cancelled_caught, timeout=self._timeout)
        finally:
            started.close()


@attrs.define(eq=False)
class _Started:
    """A command that runs."""

    child: Child
    output: int
    errors: int
    name: str
    """Of its program."""

    def finish(self, *, timed_out: bool, timeout: float) -> CommandResult:
        """Read what it said. If it is `late`, it is killed before."""
        if timed_out:
            self.child.destroy()
            said = _read(self.errors)
            return CommandResult(None, _read(self.output), f"{said}\nit did not return within {timeout:g} s", timed_out=True)
        how = self.child.reap()
        if how is UNKNOWN and forgets_children():  # nothing could be learnt from any command any more
            raise _forgotten(self.name)
        code = how.code
        return CommandResult(code, _read(self.output), _read(self.errors))

    def close(self) -> None:
        """End it, if it runs, and give up what it held."""
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
        return _Started(spawn(argv, env=environment, cwd="/", output=output, errors=errors), output, errors, argv[0])
    except OSError as exc:
        for fd in (output, errors):
            if fd >= 0:
                os.close(fd)
        if isinstance(exc, ChildProcessError) and forgets_children():
            raise _forgotten(argv[0]) from exc
        return _not_started(argv, exc)


def _forgotten(name: str) -> BackendBrokenError:
    return BackendBrokenError(f"it is not known how {name} ended: {SIGCHLD_IGNORED}")


def _not_started(argv: Sequence[str], error: OSError) -> CommandResult:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)
    return CommandResult(None, "", f"{argv[0]} cannot be started: {error.strerror}", missing=missing)


def _read(fd: int) -> str:
    return os.pread(fd, _MAX_OUTPUT_BYTES, 0).decode("utf-8", "replace")
