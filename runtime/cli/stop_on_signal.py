"""Signals during a run: each stops it harder than the last. Before and after a run, `exit_on_signal` handles them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

import attrs
import trio

from runtime.cli.exit_on_signal import SIGNALS, exit_code, has_default_action
from runtime.cli.repeated_signals import RepeatFilter
from runtime.signal_names import signal_name

_ALWAYS: Final = frozenset({signal.SIGINT, signal.SIGTERM})
"""Signals that are handled even if the parent process ignores them: a shell without job control ignores SIGINT in what
it starts in the background, and a script must be able to stop that."""


class Stoppable(Protocol):
    """The part of `Scheduler` that `Stopper` uses."""

    def stop(self, *, by: str = ..., force: bool = ..., drain: bool = ...) -> None:
        """Start no more jobs, and kill those that run, or (`drain`) let them end."""


@attrs.define(eq=False)
class Stopper:
    """Counts requests. The first stops the run gently, the second kills its jobs, the third ends this process."""

    _run: Stoppable
    """The scheduler."""
    _drain: bool
    """Whether the first request lets running jobs finish."""
    _show: Callable[[str], object]
    """Called with a line for the user."""
    _exit_now: Callable[[int], NoReturn]
    """Ends this process, with an exit code."""
    _suspend: Callable[[], object]
    """Stops this process and its jobs, and returns when it is continued."""
    _count: int = attrs.field(default=0, init=False)
    first: int | None = attrs.field(default=None, init=False)
    """The signal of the first request, which makes the exit code."""

    def receive(self, number: int) -> None:
        """Act on one request, which came by this signal."""
        name = signal_name(number)
        self._count += 1
        if self.first is None:
            self.first = number
            self._run.stop(by=name, drain=self._drain)
            how = "running jobs may finish" if self._drain else "running jobs are being ended"
            self._show(f"{name}: nothing new starts, {how}; once more to kill them at once")
        elif self._count == 2:  # noqa: PLR2004 - the second
            self._run.stop(by=name, force=True)
            self._show(f"{name}: running jobs are being killed; once more to exit without waiting")
        else:
            self._exit_now(exit_code(self.first))

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Receive signals until cancelled."""
        await receive_requests(self.receive, self._suspend, task_status=task_status)


async def receive_requests(
    receive: Callable[[int], object],
    suspend: Callable[[], object],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `receive` with each signal that requests an end, and `suspend` for SIGTSTP, until cancelled.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored, and foreign handlers stay. The exceptions are
    SIGINT and SIGTERM, which always are requests.
    """
    numbers = [number for number in (*SIGNALS, signal.SIGTSTP) if number in _ALWAYS or has_default_action(number)]
    filter_ = RepeatFilter()
    with trio.open_signal_receiver(*numbers) as received:
        task_status.started()
        async for number in received:
            if number == signal.SIGTSTP:
                suspend()
            elif filter_.is_request(number, trio.current_time(), by_key=has_keys()):
                receive(number)


def stop_this_process() -> None:
    """Stop this process by the default action of SIGTSTP; return when it is continued.

    In an orphaned process group, which no shell controls, the system ignores SIGTSTP, and this returns at once.
    """
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        signal.raise_signal(signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, handler)


def has_keys() -> bool:
    """Whether keys of a terminal send signals to this process: it is in the foreground of its terminal."""
    try:
        # Not standard input, which may be a file or a pipe.
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
