"""The signals that stop a run, each time harder. Before it and after it they are the business of `quitting`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

import trio

from runtime.cli.quitting import SIGNALS, exit_code, is_free, signal_name
from runtime.cli.repeated_signals import Repeats

_ALWAYS: Final = frozenset({signal.SIGINT, signal.SIGTERM})


class Stoppable(Protocol):
    """What of a scheduler is needed here."""

    def stop(self, *, by: str = ..., force: bool = ..., drain: bool = ...) -> None:
        """Start nothing more, and end what runs, or (`drain`) let it end."""


class Stopper:
    """Counts the requests. The first ends the run gently, the second at once; the third ends this process.

    Args:
        run: what to stop.
        drain: whether the first lets running jobs finish.
        tell: called with a line for the person.
        leave: ends this process, with an exit code.
        suspend: stops this process, and what belongs to it, until somebody continues it.
    """

    def __init__(
        self,
        run: Stoppable,
        *,
        drain: bool,
        tell: Callable[[str], object],
        leave: Callable[[int], NoReturn],
        suspend: Callable[[], object] = lambda: None,
    ) -> None:
        self._run = run
        self._drain = drain
        self._tell = tell
        self._leave = leave
        self._suspend = suspend
        self._count = 0
        self.first: int | None = None
        """The first of the signals, by which the run's end is known."""

    def receive(self, number: int) -> None:
        """Take one request."""
        name = signal_name(number)
        self._count += 1
        if self.first is None:
            self.first = number
            self._run.stop(by=name, drain=self._drain)
            how = "running jobs may finish" if self._drain else "running jobs are being ended"
            self._tell(f"{name}: nothing new starts, {how}; once more to kill them at once")
        elif self._count == 2:  # noqa: PLR2004 - the second
            self._run.stop(by=name, force=True)
            self._tell(f"{name}: running jobs are being killed; once more to exit without waiting")
        else:
            self._leave(exit_code(self.first))

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Receive signals until cancelled.

        A signal that is ignored, as a hang-up is under nohup, stays ignored, and one that somebody else has a handler
        for stays his; but for SIGINT and SIGTERM, by which a script can always stop what it has put in the background.
        """
        wanted = [number for number in (*SIGNALS, signal.SIGTSTP) if number in _ALWAYS or is_free(number)]
        repeats = Repeats()
        with trio.open_signal_receiver(*wanted) as received:
            task_status.started()
            async for number in received:
                if number == signal.SIGTSTP:
                    self._suspend()
                elif repeats.is_request(number, trio.current_time(), by_key=has_keys()):
                    self.receive(number)


def stop_this_process() -> None:
    """Stop, as SIGTSTP does to a program that does not take it; return when somebody has continued us.

    In a process group that no shell looks after the system leaves it out, and this returns at once.
    """
    ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        signal.raise_signal(signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, ours)


def has_keys() -> bool:
    """Whether a terminal's keys send their signals to this process: it is in the foreground of its terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
