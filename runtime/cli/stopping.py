"""The signals that stop a run, each time harder. Before it and after it they are the business of `quitting`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import NoReturn, Protocol

import trio

from runtime.cli.quitting import SIGNALS, exit_code


class Stoppable(Protocol):
    """What of a scheduler is needed here."""

    def stop(self, *, by: str = ..., force: bool = ..., drain: bool = ...) -> None:
        """Start nothing more, and end what runs, or (`drain`) let it end."""


class Stopper:
    """Counts the signals. The first ends the run gently, the second at once; the third ends this process.

    Args:
        run: what to stop.
        drain: whether the first lets running jobs finish.
        tell: called with a line for the person.
        leave: ends this process, with an exit code.
    """

    def __init__(
        self, run: Stoppable, *, drain: bool, tell: Callable[[str], object], leave: Callable[[int], NoReturn]
    ) -> None:
        self._run = run
        self._drain = drain
        self._tell = tell
        self._leave = leave
        self._count = 0
        self.first: signal.Signals | None = None
        """The first of the signals, by which the run's end is known."""

    def receive(self, number: int) -> None:
        """Take one signal."""
        received = signal.Signals(number)
        self._count += 1
        if self.first is None:
            self.first = received
            self._run.stop(by=received.name, drain=self._drain)
            how = "running jobs may finish" if self._drain else "running jobs are being ended"
            self._tell(f"{received.name}: nothing new starts, {how}; once more to kill them at once")
        elif self._count == 2:  # noqa: PLR2004 - the second
            self._run.stop(by=received.name, force=True)
            self._tell(f"{received.name}: running jobs are being killed; once more to exit without waiting")
        else:
            self._leave(exit_code(self.first))

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Receive signals until cancelled. A hang-up that is being ignored, as under nohup, stays ignored."""
        wanted = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
        with trio.open_signal_receiver(*wanted) as received:
            task_status.started()
            async for number in received:
                self.receive(number)
