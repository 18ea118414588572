"""`Child`: one process that we started, in a session of its own, until it is reaped.

While it is not reaped, its number is nobody else's, and neither is its process group's: so signals go to the group only
in that time, and never reach a stranger. Output is not our business: the child owns its descriptors.
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

from runtime.process.default_signals import take_signals_as_usual
from runtime.process.start import SharedEnvironment, is_available, start

SIGCHLD_IGNORED: Final = (
    "this process ignores SIGCHLD, so the system forgets how its children end;"
    " expected: the default action, signal.signal(signal.SIGCHLD, signal.SIG_DFL)"
)


def forgets_children() -> bool:
    """Whether the exit status of a child is lost when it ends, as this process ignores SIGCHLD. It may be inherited."""
    return signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN


BUSY_ERRORS: Final = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What the system answers when it has no room for one more process, for now."""


def has_no_room(error: BaseException) -> bool:
    """Whether an error says that there is no room, for now: what failed may work later."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in BUSY_ERRORS)


@attrs.frozen
class Exit:
    """How a process ended, and what it used. What is not known is `None`."""

    code: int | None = None
    """The exit code, when it exited."""
    signal: int | None = None
    """The number of the signal that ended it, when one did."""
    core_dumped: bool = False
    cpu_seconds: float | None = None
    """User and system time of it and of those of its descendants that were waited for, seconds."""
    peak_bytes: int | None = None
    """The largest resident set of any of these, bytes; `None` unless above our own, which the system counts in."""


UNKNOWN: Final = Exit()
"""Of a process that somebody else has reaped."""


class Child:
    """A running process, the root and leader of its session and group. Make one with `spawn`."""

    __slots__ = ("_pidfd", "_reaped", "pid")

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        """Its process id, and the id of its group and session."""
        self._pidfd = pidfd
        self._reaped = False

    def __repr__(self) -> str:
        return f"<Child {self.pid}{' reaped' if self._reaped else ''}>"

    @property
    def reaped(self) -> bool:
        """Whether its number may be somebody else's by now."""
        return self._reaped

    def has_exited(self) -> bool:
        """Whether it has exited, be it reaped or not."""
        if not self._reaped:
            try:
                return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            except ChildProcessError:
                self._reaped = True  # by somebody else: a handler of SIGCHLD that is not ours
        return True

    async def wait_exited(self) -> None:
        """Wait until it has exited; it is not reaped by that."""
        await trio.lowlevel.wait_readable(self._pidfd)

    def signal_group(self, number: int) -> None:
        """Send a signal to each process of its group that we may send one to. Does nothing once it is reaped."""
        if not self._reaped and not (self.has_exited() and self._reaped):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def group_exists(self) -> bool:
        """Whether any process is left in its group, itself included until it is reaped. Zombies count."""
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
        import resource  # not there on every system that may import this module

        code = os.waitstatus_to_exitcode(status)
        # A child begins as a copy of us, and the system never forgets how large that was.
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Exit(
            code if code >= 0 else None,
            -code if code < 0 else None,
            os.WCOREDUMP(status),
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss * 1024 if usage.ru_maxrss > ours else None,
        )

    def kill_rest(self) -> None:
        """Kill what is left of its group; for when it was reaped.

        Its number stays taken as long as the group has a member. Only when there is none could a stranger get it, who
        would be a process of that number first: then nothing is signalled.
        """
        if not os.path.exists(f"/proc/{self.pid}"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def destroy(self) -> None:
        """Kill its group, reap it and `close` it. Blocks for as long as it takes to die."""
        self.signal_group(signal.SIGKILL)
        self.reap()
        self.close()

    def close(self) -> None:
        """Give up the descriptor; nobody can wait for it any more. Idempotent."""
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
) -> Child:
    """Start `argv` in a session of its own, with an empty standard input. Blocks for milliseconds: for threads.

    Args:
        argv: the program, looked up in the ``PATH`` of `env`, and its arguments.
        env: its whole environment.
        cwd: the directory that it starts in; `None` for ours.
        output: the descriptor that becomes its standard output and its standard error. All others are closed in it.
        errors: the one for its standard error, if that is to be another.
        directory: a descriptor of `cwd`, if that is not to be entered wherever its path leads.

    Raises:
        OSError: if it cannot be started; with an `errno` in `BUSY_ERRORS` it may work later.
        ChildProcessError: if it has ended, and has been reaped, before this could look.
        ValueError: if something of it is no text that a program can be given.
    """
    errors = output if errors is None else errors
    quickly = is_available() and min(output, errors) > 2  # noqa: PLR2004 - the standard descriptors
    pid = (start if quickly else _start)(argv, env=env, cwd=cwd, output=output, errors=errors, directory=directory)
    try:
        return Child(pid, os.pidfd_open(pid))
    except ProcessLookupError as exc:  # it ran, and is forgotten
        why = SIGCHLD_IGNORED if forgets_children() else "somebody else in this process has reaped it"
        raise ChildProcessError(errno.ECHILD, f"it ran, and nobody knows how it ended: {why}") from exc
    except BaseException:
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
    """Do what `start` does, where that cannot be done."""
    if isinstance(env, SharedEnvironment) and cwd is not None:
        env = {**env, "PWD": cwd}
    others = signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}  # which `subprocess` sees to
    is_any_ignored = any(signal.getsignal(number) == signal.SIG_IGN for number in others)
    # A child inherits the mask of the thread that starts it.
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
            preexec_fn=take_signals_as_usual if is_any_ignored else None,  # noqa: PLW1509 - it calls the system only
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.returncode = 0  # it is ours to reap: this keeps Popen from doing it, and from complaining that nobody did
    return process.pid
