"""Signals to the processes of a tree, each of which is known to belong to it."""

from __future__ import annotations

import os
import sys

from runtime.process.guard.procfs import ProcessEntry, read_entries, still_exists, with_descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable, Sequence
    from typing import Final
else:
    # The Python modules around these take 10 ms to import.
    import _signal as signal

FIRST_DELAY: Final = 0.002
_LAST_DELAY: Final = 0.25
"""Seconds between two rounds of SIGKILL, at first and at most. Arbitrary: ten times longer would delay the report of an
end by as much, ten times shorter would take CPU time from the others while a process is stuck."""


_FORWARDERS: Final = (b"timeout",)
"""Programs that forward each signal to their only child and to its group, and exit with it: timeout(1) of coreutils."""
_NOT_FORWARDED: Final = (signal.SIGSTOP, signal.SIGCONT)

_KILL_ROUNDS: Final = 10
"""Rounds of SIGKILL without effect after which processes are stopped before they are killed. Arbitrary: most jobs need
one or two; with ten times as many a fork bomb would live some 20 s longer."""

STOP_PASSES: Final = 3
"""Passes over the tree that send SIGSTOP: a process that is forked during one is found by the next. Arbitrary."""


def signal_process(process: ProcessEntry, *numbers: int) -> None:
    """Send signals to a process, if that is permitted; never to another process with the same pid."""
    try:
        held = os.pidfd_open(process.pid)  # stands for one process, even if its pid is reused
    except OSError:
        return
    try:
        if still_exists(process):  # the pid may have been reused before the pidfd was opened
            for number in numbers:
                signal.pidfd_send_signal(held, number)
    except OSError:
        pass
    finally:
        os.close(held)


def signal_each_once(processes: Sequence[ProcessEntry], *numbers: int) -> None:
    """Send signals to processes so that each gets them once.

    A process that forwards signals to its child, which is also among `processes`, gets only SIGSTOP and SIGCONT: else
    the child would get the others twice.
    """
    forward = forwarders(processes)
    for process in processes:
        signal_process(process, *[each for each in numbers if process.pid not in forward or each in _NOT_FORWARDED])


def forwarders(processes: Iterable[ProcessEntry]) -> set[int]:
    """Return the pids of those processes that forward signals to others of them."""
    all_of_them = list(processes)
    parents = {process.parent for process in all_of_them}
    return {process.pid for process in all_of_them if process.name in _FORWARDERS and process.pid in parents}


def signal_tree(direct: list[int], *numbers: int) -> None:
    """Send signals, once each, to children of this process and to all their descendants that can be found now."""
    # The whole list before the first signal: a process that has died has no children any more.
    signal_each_once(list(with_descendants(read_entries(direct))), *numbers)


def signal_child(pid: int, number: int) -> None:
    """Send a signal to a child of this process. Does nothing if that is not permitted, as for a setuid program."""
    try:
        os.kill(pid, number)
    except OSError:
        pass


class KillRounds:
    """Rounds of SIGKILL to children of this process, until none is left."""

    delay: float = FIRST_DELAY
    """Seconds until the next round, unless a process exits before."""

    _without_effect = 0
    _fewest = sys.maxsize

    def kill(self, pids: list[int]) -> float:
        """Send SIGKILL to each of `pids`, which must be children of this process; return the `delay`."""
        # In a fork bomb at a limit of processes, each process that is killed lets another one fork. So after some
        # rounds without effect all descendants are stopped first: they fill the limit, and do not fork.
        if self._without_effect >= _KILL_ROUNDS:
            for _ in range(STOP_PASSES):
                signal_tree(pids, signal.SIGSTOP)
        for pid in pids:
            signal_child(pid, signal.SIGKILL)
        if not pids:
            self._without_effect, self._fewest = 0, sys.maxsize
        elif len(pids) < self._fewest:
            self._fewest = len(pids)  # the round before had an effect
        else:
            self._without_effect += 1
        delay = self.delay
        self.delay = min(2 * delay, _LAST_DELAY)
        return delay
