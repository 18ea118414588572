"""`Child`: a process in a session of its own, from its start until it is reaped.

While it is not reaped, its pid, which is also the number of its process group, cannot be reused. So the group is
signalled only until then, and a signal never reaches another process. Output is not handled here: the child owns its
descriptors.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import attrs
import trio

from runtime.process.default_signals import restore_default_signals
from runtime.process.start import is_available, start

SIGCHLD_IGNORED: Final = (
    "this process ignores SIGCHLD, so the system forgets how its children end;"
    " expected the default action, signal.signal(signal.SIGCHLD, signal.SIG_DFL)"
)


def ignores_sigchld() -> bool:
    """Whether this process ignores SIGCHLD, perhaps by inheritance: then the exit status of each child is lost."""
    return signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN


@attrs.frozen
class Exit:
    """How a process ended, and what it used. Fields that are not known are `None`."""

    code: int | None = None
    """The exit code, when it exited."""
    signal: int | None = None
    """The number of the signal that ended it, when one did."""
    core_dumped: bool = False
    cpu_seconds: float | None = None
    """User and system time of it and of its descendants that were waited for, seconds."""
    peak_bytes: int | None = None
    """The largest resident set of any of these, bytes; `None` unless larger than that of this process: see `reap`."""


UNKNOWN: Final = Exit()
"""The exit of a process that other code in this process has reaped."""


class Child:
    """A running process, the root and leader of its session and group. Make one with `spawn`."""

    __slots__ = ("_pidfd", "_reaped", "pid")

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid: int = pid
        """Its process id, and the id of its group and session."""
        self._pidfd = pidfd
        self._reaped = False

    def __repr__(self) -> str:
        return f"<Child {self.pid}{' reaped' if self._reaped else ''}>"

    @property
    def reaped(self) -> bool:
        """Whether it is reaped, so that its pid may have been reused."""
        return self._reaped

    def fileno(self) -> int:
        """Return its pidfd, which is readable once it has exited, for `select`; -1 after `close`."""
        return self._pidfd

    def has_exited(self) -> bool:
        """Whether it has exited, reaped or not."""
        if not self._reaped:
            try:
                return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            except ChildProcessError:
                self._reaped = True  # by other code, such as the embedding program's handler of SIGCHLD
        return True

    async def wait_exited(self) -> None:
        """Wait until it has exited. Does not reap it."""
        await trio.lowlevel.wait_readable(self._pidfd)

    def signal_group(self, number: int) -> None:
        """Send a signal to the processes of its group, if that is permitted. Does nothing after it was reaped."""
        # `has_exited` also notices that other code has reaped it.
        if not self._reaped and not (self.has_exited() and self._reaped):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def group_exists(self) -> bool:
        """Whether a process is left in its group. Zombies count, and so does the child until it is reaped."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def reap(self) -> Exit:
        """Reap it; it must have exited."""
        if self._reaped:
            return UNKNOWN
        self._reaped = True
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:
            return UNKNOWN
        import resource  # not available on every system that can import this module

        code = os.waitstatus_to_exitcode(status)
        # A child starts as a copy of this process, whose size counts in its `ru_maxrss`: only a larger one is its own.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Exit(
            code if code >= 0 else None,
            -code if code < 0 else None,
            os.WCOREDUMP(status),
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss * 1024 if usage.ru_maxrss > own else None,
        )

    def kill_rest(self) -> None:
        """Kill the processes that are left in its group after it was reaped."""
        # The number of a group is not reused while the group has a member. If it has none, a new process may get the
        # number as its pid, and only then become the leader of a group: so with such a process nothing is signalled.
        if not os.path.exists(f"/proc/{self.pid}"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def destroy(self) -> None:
        """Kill its group, reap it and `close` it. Blocks until it has died."""
        self.signal_group(signal.SIGKILL)
        self.reap()
        self.close()

    def close(self) -> None:
        """Close the pidfd: it cannot be waited for any more. Idempotent."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | None,
    output: int,
    errors: int | None = None,
    directory: int | None = None,
    inherited: Sequence[int] = (),
) -> Child:
    """Start `argv` in a session of its own, with an empty standard input. Blocks for milliseconds: for threads.

    Args:
        argv: the program, looked up in the ``PATH`` of `env`, and its arguments.
        env: its whole environment.
        cwd: the directory that it starts in; `None` for that of this process.
        output: the descriptor that becomes its standard output and its standard error. All others are closed in it.
        errors: the descriptor of its standard error, if that is another one.
        directory: a descriptor of `cwd`; `None` to follow that path wherever it leads.
        inherited: descriptors that it has beside its output, from `FIRST_INHERITED` on. Where
            `start.is_available` is false it has none of them.

    Raises:
        OSError: if it cannot be started; with an `errno` in `BUSY_ERRORS` it may work later.
        ChildProcessError: if it has ended and was reaped before its pidfd could be opened.
        ValueError: if an argument or variable cannot be passed to a program, as one with a NUL byte.
    """
    errors = output if errors is None else errors
    quickly = is_available() and min(output, errors) > 2  # noqa: PLR2004 - the standard descriptors
    pid = (
        start(argv, env=env, cwd=cwd, output=output, errors=errors, directory=directory, inherited=inherited)
        if quickly
        else _start(argv, env=env, cwd=cwd, output=output, errors=errors, directory=directory)
    )
    try:
        return Child(pid, os.pidfd_open(pid))
    except ProcessLookupError as exc:  # it ran, and was reaped
        why = SIGCHLD_IGNORED if ignores_sigchld() else "other code in this process has reaped it"
        raise ChildProcessError(errno.ECHILD, f"it ran, and its exit status is lost: {why}") from exc
    except BaseException:
        # Mostly EMFILE: a child that cannot be waited for must not run.
        Child(pid, -1).destroy()
        raise


def _start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | None,
    output: int,
    errors: int,
    directory: int | None = None,
) -> int:
    """Do what `start` does, by `subprocess`, where `start` is not available."""
    others = signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}  # which `subprocess` restores
    is_any_ignored = any(signal.getsignal(number) == signal.SIG_IGN for number in others)
    # A child inherits the signal mask of the thread that starts it.
    before = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=env,
            cwd=cwd if directory is None else f"/proc/{os.getpid()}/fd/{directory}",
            close_fds=True,
            start_new_session=True,
            preexec_fn=restore_default_signals if is_any_ignored else None,  # noqa: PLW1509 - it makes system calls only
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.returncode = 0  # `Child` reaps it: this keeps Popen from doing so, and from a warning that it was not done
    return process.pid
