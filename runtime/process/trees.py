"""`ProcessTree`: a job's processes, from their start until none of them is left; and that for a process group.

Whoever runs jobs needs to know no more than this. `GroupTree` is the plain way: a session, and the end of its process
group. `runtime.process.shim.Tree` is the thorough one.
"""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final, Protocol, TypeVar

import attrs
import trio

from runtime.process.child import UNKNOWN, Child, Exit
from runtime.process.group import Descendants, ProcessTable, ask_softly, end_leftovers, sweep_group, terminate_group
from runtime.process.soft_stop import SoftStep
from runtime.process.threads import in_thread
from runtime.roots import RootedPath

T = TypeVar("T")

logger: Final = logging.getLogger("runtime.process")


@attrs.frozen
class StopSteps:
    """How a tree is ended. A time of `None` means no limit."""

    grace: float | None
    """Seconds between SIGTERM and SIGKILL."""
    patience: float | None
    """Seconds after SIGKILL in which all must be gone."""
    soft: SoftStep | None = None
    """What comes before SIGTERM; that comes sooner, if the root ends sooner."""


@attrs.frozen
class TreeEnd:
    """How the end of a tree went."""

    exit: Exit = UNKNOWN
    """How its root ended, and what was used; `UNKNOWN` if nobody knows."""
    stopped: bool = False
    """Whether it was asked to stop before its root had ended."""
    left: Sequence[int] | None = None
    """`None` if nobody is left; else the ids of those that did not go, as far as they are known."""
    broken: str | None = None
    """Why it was ended without being asked to stop: whoever guarded it has gone."""
    log: bytes | None = None
    """All that its log says, if that is short and whoever guarded it has looked."""
    left_behind: Sequence[str] = ()
    """What its root left running when it ended by itself, and did not go in time: names and pids. It was killed."""


class NotMadeError(Exception):
    """Whoever was to make a job's files did not: something is there already, or something is wrong."""


class ProcessTree(Protocol):
    """A root process in a session of its own, and what comes from it."""

    @property
    def pid(self) -> int | None:
        """The pid of the root; `None` before it was started."""

    async def wait_started(self) -> None:
        """Wait until the root was started.

        Raises:
            OSError: if it cannot be; with an `errno` in `BUSY_ERRORS` it may work later.
            ValueError: if something of it is no text that a program can be given.
            NotMadeError: if its files were to be made, and were not.
        """

    async def wait_ended(self) -> TreeEnd:
        """Wait until nothing is left, or it was given up. To be called once."""

    def announce_end(self, channel: trio.MemorySendChannel[tuple[T, TreeEnd]], item: T) -> bool:
        """Send `item` and how it ended when it has, to somebody who waits for many.

        Args:
            channel: has room for any number.
            item: what to send, once.

        Returns:
            Whether that is possible; if not, somebody has to wait for it.
        """

    async def wait_gone(self) -> None:
        """Wait, after the end, until no more has to be done for it; forever, if something of it is stuck."""

    def has_ended(self) -> bool:
        """Whether the root is known to have ended."""

    def stop(self, steps: StopSteps) -> None:
        """Begin to end it. Does nothing if its root has ended by itself."""

    def kill(self) -> None:
        """Leave out what is left of the gentle steps of a `stop`."""

    def pause(self) -> None:
        """Stop all its processes by SIGSTOP, unless they are being killed."""

    def unpause(self, seconds: float) -> None:
        """Continue them, if they are paused; the steps of its stop last for `seconds` longer, for which it was."""

    def postpone(self, seconds: float) -> None:
        """Let all steps of its stop that are under way last that much longer: it has stood still, and so have we."""

    def destroy(self) -> None:
        """End it at once, when nobody waits for it. May block for as long as it takes to die: for threads."""

    def close(self) -> None:
        """Give it up; what of it is still there is killed. Idempotent."""


Limit = Callable[[trio.CancelScope, float], object]
"""Cancels a scope in so many seconds; those in which all stood still may be left out."""


def limit_by_deadline(scope: trio.CancelScope, seconds: float) -> None:
    """A `Limit` that leaves nothing out."""
    scope.deadline = trio.current_time() + seconds


def _new_scope(_: object) -> trio.CancelScope:
    return trio.CancelScope()


class GroupTree:
    """The process group of a child: a `ProcessTree` of those who do not leave it.

    Args:
        child: the root.
        census: tells who is alive in a group.
        patience: seconds that what is left after the end of the root may take to be gone; `None` for no limit.
        files: for the thread that makes a stop file, where a job's file system may hold it.
        leftover_timeout: seconds that what the root leaves running has to go by itself, before it is named and killed;
            0 if nobody asks who that was.
    """

    # Made when one is needed: most trees need none, and to make one takes longer than to reap a process.
    _soft = cached_property(_new_scope)
    _grace = cached_property(_new_scope)
    _sweep = cached_property(_new_scope)

    def __init__(
        self,
        child: Child,
        census: ProcessTable,
        patience: float | None,
        files: trio.CapacityLimiter,
        leftover_timeout: float = 0.0,
    ) -> None:
        self.child = child
        """The root."""
        self._census = census
        self._patience = patience
        self._files = files
        self._leftover_timeout = leftover_timeout
        self._steps: StopSteps | None = None
        self._waiting = trio.CancelScope()
        self._paused = False
        self.limit: Limit = limit_by_deadline
        """How the steps of its stop are limited. A standstill is noticed only after a deadline that it has passed, so
        whoever can wait for that news gives another one."""

    def __repr__(self) -> str:
        return f"<GroupTree of {self.child!r}>"

    @property
    def pid(self) -> int:
        """The pid of the root."""
        return self.child.pid

    async def wait_started(self) -> None:
        """Return at once, without a checkpoint: it is."""

    async def wait_ended(self) -> TreeEnd:
        """Wait until nothing is left in the group, or it was given up."""
        with self._waiting:
            await self.child.wait_exited()
        steps = self._steps
        patience = self._patience
        left_behind: Sequence[str] = ()
        how = UNKNOWN
        if steps is not None:
            patience = steps.patience
            descendants = Descendants(self.child, self._census)
            if steps.soft is not None:
                await self._ask_softly(steps.soft, descendants)
            self.limit(self._grace, math.inf if steps.grace is None else steps.grace)
            await terminate_group(self.child, descendants, self._grace)
        elif self._leftover_timeout:
            how = self.child.reap()
            if not self.child.group_exists():  # the usual case: nobody is left to be swept
                return TreeEnd(how)
            limit_by_deadline(self._grace, self._leftover_timeout)
            left_behind = await end_leftovers(self.child, self._census, self._grace)
        # In the usual case nobody is left to wait for, so this limit has to cost nothing then.
        limit = self.limit if steps is not None or left_behind else limit_by_deadline
        limit(self._sweep, math.inf if patience is None else patience)
        end = await sweep_group(self.child, self._census, self._sweep, how)
        return TreeEnd(end.exit, steps is not None, end.left, left_behind=left_behind)

    def announce_end(self, channel: trio.MemorySendChannel[tuple[T, TreeEnd]], item: T) -> bool:
        """Return false: who waits for it also ends it."""
        return False

    async def _ask_softly(self, soft: SoftStep, descendants: Descendants) -> None:
        what = soft.what
        self.limit(self._soft, math.inf if soft.seconds is None else soft.seconds)
        with self._soft:
            if isinstance(what, int):
                await ask_softly(self.child, self._census, descendants, what)
            elif await in_thread(make_stop_file, what, limiter=self._files, paths=lambda: (what.real,)):
                await self.child.wait_exited()

    async def wait_gone(self) -> None:
        """Reap the root, if it was given up, when it ends."""
        if not self.child.reaped:
            await self.child.wait_exited()
            self.child.reap()

    def has_ended(self) -> bool:
        """Whether the root has."""
        return self.child.has_exited()

    def stop(self, steps: StopSteps) -> None:
        """Begin to end it. Does nothing if its root has ended by itself."""
        if self._steps is None and not self.child.has_exited():
            self._steps = steps
            self.unpause(0)  # it has to act on what it is told
            self._waiting.cancel()

    def kill(self) -> None:
        """Leave out what is left of the gentle steps of a `stop`."""
        self._soft.cancel()
        self._grace.cancel()

    def pause(self) -> None:
        """Stop all processes of the group."""
        self._paused = True
        self.child.signal_group(signal.SIGSTOP)

    def unpause(self, seconds: float) -> None:
        """Continue them, if they are paused; the steps of its stop last for `seconds` longer, for which it was."""
        if self._paused:
            self._paused = False
            self.postpone(seconds)
            self.child.signal_group(signal.SIGCONT)

    def postpone(self, seconds: float) -> None:
        """Let all steps of its stop that are under way last that much longer."""
        for scope in (self._soft, self._grace, self._sweep):
            scope.deadline += seconds

    def destroy(self) -> None:
        """Kill the group, and wait for the root. Blocks."""
        self.child.destroy()

    def close(self) -> None:
        """Kill what is in the group, unless the root is reaped, and close the descriptor."""
        self.child.signal_group(signal.SIGKILL)
        self.child.close()


def make_stop_file(path: RootedPath) -> bool:
    """Make the file by which a job is asked to end; return whether it is there. Blocks."""
    try:
        return path.touch()
    except OSError as exc:
        logger.warning("a stop file cannot be made: %s", exc)
        return False
