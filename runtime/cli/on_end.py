"""`OnEnd`: runs the command of ``--on-end`` when a run has ended, with its summary.

It is a process group of its own, which is killed after a limit, on Ctrl-C, and when its first process has ended. If
this process dies, by SIGKILL say, so does the first process of the command: the system sends it a signal when the
thread ends that has started it (`PR_SET_PDEATHSIG`), and that thread waits for it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import trio

from runtime.jobfile.errors import shown
from runtime.process import in_thread
from runtime.process.default_signals import restore_default_signals
from runtime.process.environment import inherited_environment
from runtime.report import strict
from runtime.report.run_summary import summary_variables
from runtime.signal_names import signal_name

TIMEOUT: Final = 60.0
"""Seconds for the command. Arbitrary: a mail or a request to a server takes seconds; ten times more, and a server that
does not answer looks like a hang; ten times less, and a busy one loses its message."""

_PR_SET_PDEATHSIG: Final = 1


class OnEnd:
    """The command of one run.

    Args:
        words: its program and arguments; `None` for no command.
        timeout: seconds after which it is killed.
    """

    def __init__(self, words: Sequence[str] | None, *, timeout: float = TIMEOUT) -> None:
        self._words = words
        self._timeout = timeout
        self._command: _Command | None = None
        self._interrupted = False

    @property
    def is_empty(self) -> bool:
        """Whether there is no command."""
        return self._words is None

    async def run(self, summary: Callable[[], Mapping[str, object]]) -> str | None:
        """Run the command to its end; return how it failed, in a line. Kills it if it is cancelled.

        Args:
            summary: returns the summary of the run; may block, for any thread.
        """
        if self._words is None:
            return None
        name = f"--on-end: {shown(self._words[0])}"
        self._command = command = _Command(self._words, summary)
        code = None
        try:
            with trio.move_on_after(self._timeout):
                code = await in_thread(command.run, limiter=trio.CapacityLimiter(1))
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            return f"{name} cannot be started: {exc.strerror if isinstance(exc, OSError) else exc}"
        finally:
            command.kill()
        if self._interrupted:
            return f"{name} was killed, as the run was interrupted"
        if code is None:
            return f"{name} was killed, as it took longer than {self._timeout:g} s"
        if code:
            return f"{name} failed: " + (f"exit code {code}" if code > 0 else f"ended by {signal_name(-code)}")
        return None

    def interrupt(self) -> None:
        """Kill the command if it runs."""
        if self._command is not None:
            self._interrupted = self._command.kill() or self._interrupted


class _Command:
    """A command, from its start to its end. Its methods may be called from any thread, `kill` in a signal handler."""

    def __init__(self, words: Sequence[str], summary: Callable[[], Mapping[str, object]]) -> None:
        self._words = words
        self._summary = summary
        self._lock = threading.RLock()
        """For numbers of processes. Nothing that may take long is done with it; a signal may interrupt who holds it."""
        self._killed = False
        self._is_over = False
        self._pid: int | None = None
        """Its process and process group, while that cannot be reused: until it is reaped."""

    def run(self) -> int:
        """Run it to its end; return its exit code, as `subprocess` does. Blocks. Kills what it leaves in its group.

        Raises:
            OSError, ValueError, subprocess.SubprocessError: if it cannot be started.
        """
        summary = self._summary()
        fd = os.memfd_create("summary", os.MFD_CLOEXEC)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(strict.dumps(summary).encode("ascii") + b"\n")
            os.lseek(fd, 0, os.SEEK_SET)
            if self._killed:
                return -signal.SIGKILL
            # Without the lock: if the file system of the program does not answer, this does not return.
            process = subprocess.Popen(
                self._words,
                stdin=fd,
                stdout=2,  # standard output may be that of the events
                stderr=2,
                env={**inherited_environment(), **summary_variables(summary)},
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - it makes system calls only
            )
        finally:
            os.close(fd)
        with self._lock:
            self._pid = process.pid
            if self._killed:  # while it was started
                _kill_group(process.pid)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            _kill_group(process.pid)
            self._pid = None
            self._is_over = True
            return process.wait()

    def kill(self) -> bool:
        """Kill it, now or as soon as it is started; return whether it had not ended. Does not block."""
        with self._lock:
            if self._is_over:
                return False
            self._killed = True
            if self._pid is not None:
                _kill_group(self._pid)
            return True


def _kill_group(number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(number, signal.SIGKILL)


def _end_with(parent: int) -> Callable[[], None]:
    """Return a function for a new child of the process `parent`: it gives all signals their default actions, and lets
    the child be killed when the thread ends that has started it.
    """
    prctl, number = ctypes.CDLL(None).prctl, ctypes.c_ulong

    def prepare() -> None:
        restore_default_signals()
        prctl(_PR_SET_PDEATHSIG, number(signal.SIGKILL), number(0), number(0), number(0))
        if os.getppid() != parent:  # it died before that
            os._exit(1)

    return prepare
