"""The processes of the job that a shim runs, from the start of its root until none is left.

This process has one job at a time, and is a subreaper. So its children are the root and all orphans of the job, and
nothing else; none of their pids is reused before it is reaped here.
"""

from __future__ import annotations

import os

from runtime import rooted
from runtime.process.guard.messages import MAX_PIDS
from runtime.process.guard.procfs import (
    EXITED,
    children,
    describe,
    has_running_child,
    ignores,
    read_entries,
    with_descendants,
)
from runtime.process.guard.signals import STOP_PASSES, KillRounds, signal_tree
from runtime.process.stop_sequence import KILL, LEFTOVERS, LOST, SOFT, TERM, StopSequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Sequence
    from typing import Final

    from runtime.process.guard.messages import WirePath
    from runtime.process.stop_sequence import GentleStep
else:
    # The Python module around it takes 10 ms to import.
    import _signal as signal

_PEEK: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""Options of `waitid`: report an exited child, without blocking and without reaping it."""


class ContainedJob:
    """Waits for the processes of a job, and ends them.

    Args:
        number: the job's number.
        root: the pid of its root process.
        kill_timeout: seconds until processes that survive SIGKILL are stuck; `None` for no limit.
        leftover_timeout: seconds that processes which outlive the root have to exit by themselves; 0 kills them at
            once.
        roots: descriptors of the directories below which stop files are made.
        clock: the time of its stop sequence, in seconds.
        note_stuck: called with the pids of processes that are stuck.
    """

    status: int = 0
    """The wait status of the root, once it was reaped."""
    cpu: float = 0.0
    peak: int = 0
    """The largest resident set, KiB."""
    stopped: bool = False
    """Whether a stop was requested while the root was running."""
    cut_off: str | None = None
    """Why it was killed without a request to stop."""
    left_behind: Sequence[str] = ()
    """Processes that outlived the root and the leftover timeout: names and pids."""
    _soft: int | WirePath | None = None
    _has_leftovers = False
    """Whether the root has exited by itself, and others have time to exit."""

    def __init__(
        self,
        number: int,
        root: int,
        kill_timeout: float | None,
        leftover_timeout: float,
        roots: Sequence[int],
        clock: Callable[[], float],
        note_stuck: Callable[[list[int]], object],
    ) -> None:
        self.number = number
        self._root = root  # 0 after it was reaped
        self._kill_timeout = kill_timeout
        self._leftover_timeout = leftover_timeout
        self._roots = roots
        self._clock = clock
        self._note_stuck = note_stuck
        self._sequence = StopSequence(kill_timeout)
        self._rounds = KillRounds()

    def root_has_exited(self) -> bool:
        """Whether the root has exited, whether or not it was reaped."""
        return not self._root or os.waitid(os.P_PID, self._root, _PEEK) is not None

    # ------------------------------------------------------------------ what it is told

    def stop(
        self, soft: int | WirePath | None, seconds: float | None, term_timeout: float | None, kill_timeout: float | None
    ) -> None:
        """Begin the stop sequence, unless it has begun or the root has exited. Arguments as for `STOP`."""
        if self._sequence.step is None and not self._has_leftovers and not self.root_has_exited():
            self.stopped = True
            self._soft = soft
            gentle: list[GentleStep] = [(TERM, term_timeout)]
            self._sequence.begin(gentle if soft is None else [(SOFT, seconds), *gentle], kill_timeout)
            self.unpause()  # stopped processes could not act on the soft step
            self._take_steps()

    def kill(self) -> None:
        """Kill all its processes, round after round until none is left."""
        self._has_leftovers = False  # they are not named: it is not their time that is over
        self._sequence.force()
        self._take_steps()

    def cut_off_by(self, why: str) -> None:
        """Kill it without a request to stop."""
        if not self.root_has_exited():
            # If the root has exited, it ended by itself, and its status is the result.
            self.cut_off = why
        self.kill()

    def pause(self) -> None:
        """Send SIGSTOP to all its processes, unless they are being killed."""
        if self._sequence.pause(self._clock()):
            self._signal_group(signal.SIGSTOP)
            # A process outside the group that is forked during one pass is found by the next.
            for _ in range(STOP_PASSES):
                signal_tree(children(), signal.SIGSTOP)

    def unpause(self) -> None:
        """Send SIGCONT to all its processes, if it is paused."""
        if self._sequence.unpause(self._clock()):
            signal_tree(children(), signal.SIGCONT)

    # ------------------------------------------------------------------ what is done

    def reap(self) -> bool:
        """Reap the children that have exited; return whether a process is left."""
        if self._has_leftovers:
            # The root is reaped last: until then its group can be signalled, and cannot be another one.
            for pid in children():
                if pid != self._root:
                    self._reap_one(pid)
            if has_running_child():
                return True
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, _PEEK)
            except ChildProcessError:
                return False
            if found is None:
                return True
            pid = found.si_pid
            if pid == self._root and self._sequence.step is None and has_running_child():
                if self._leftover_timeout:
                    self._has_leftovers = True
                    self._sequence.begin([(LEFTOVERS, self._leftover_timeout)], self._kill_timeout)
                    return True
                self._signal_group(signal.SIGKILL)  # before the root is reaped: after that its pid may be reused
            self._reap_one(pid)

    def take_due_steps(self) -> float | None:
        """Take the steps that are due, while a process is left; return the seconds until the next."""
        if not self._sequence.has_begun:
            if self._root:
                return None
            self._sequence.force()
        elif self._sequence.step == SOFT and not self._root and not self._may_act():
            self._sequence.end_step()
        self._take_steps()
        seconds = self._sequence.seconds_left(self._clock())
        if self._sequence.step == KILL:
            # At each call: an exit may have made other processes children of this one.
            seconds = min(seconds, self._rounds.kill(children()))
        return None if seconds == float("inf") else seconds

    def _take_steps(self) -> None:
        while (step := self._sequence.take(self._clock())) is not None:
            if step == SOFT:
                self._take_soft_step()
            elif step == TERM:
                # A stopped process acts on SIGTERM only after SIGCONT.
                signal_tree(children(), signal.SIGTERM, signal.SIGCONT)
            elif step == KILL:
                if self._has_leftovers:
                    self._name_leftovers()
                # One system call for the whole group, however fast it forks. Processes outside of it become children of
                # this subreaper as their parents die, and are killed by the next rounds.
                self._signal_group(signal.SIGKILL)
            elif step == LOST:
                self._note_stuck(children()[:MAX_PIDS])

    def _take_soft_step(self) -> None:
        soft = self._soft
        if isinstance(soft, int):
            signal_tree(children(), soft)
        elif soft is not None:
            try:
                made = rooted.touch(self._roots[soft[0]], soft[1])
            except OSError:
                made = False
            if not made:
                self._sequence.end_step()  # a job that cannot be told gains nothing from the wait

    def _may_act(self) -> bool:
        """Whether a process is left that may still act on the soft step, now that the root has exited.

        A shell dies of the signal at once, while the simulator that it has started closes its files. But what a shell
        starts in the background ignores SIGINT, and is not waited for. Only the root looks for a stop file.
        """
        soft = self._soft
        if not isinstance(soft, int):
            return False
        return any(not ignores(one.pid, soft) for one in with_descendants(read_entries(children())))

    def _name_leftovers(self) -> None:
        self._has_leftovers = False
        found = with_descendants(read_entries(children()))
        self.left_behind = describe([one for one in found if one.pid != self._root and one.state not in EXITED])

    def _signal_group(self, number: int) -> None:
        """Signal the process group of the root, if the root is not reaped: so long its pid cannot be reused."""
        if self._root:
            try:
                # Fails if no process is left in the group, or none that may be signalled.
                os.killpg(self._root, number)
            except OSError:
                pass

    def _reap_one(self, pid: int) -> None:
        """Reap a child, if it has exited."""
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            self.cpu += usage.ru_utime + usage.ru_stime
            self.peak = max(self.peak, usage.ru_maxrss)
            if pid == self._root:
                # The pid may be reused from now on, so the group gets no more signals.
                self.status, self._root = status, 0
