"""`ProcessTree`: the processes of a job, from the start until none of them is left. `GroupTree`: the same for a group.

A backend needs to know no more than this protocol. `GroupTree` is the simple implementation: a session, and the end of
its process group. `runtime.process.shim.Tree` contains processes that leave the group, too.
"""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import attrs
import trio

from runtime.process.child import UNKNOWN, Child, Exit
from runtime.process.group import (
    Descendants,
    ProcessTable,
    end_leftovers,
    soft_stop_group,
    sweep_group,
    terminate_group,
)
from runtime.process.soft_steps import SoftStep
from runtime.process.stop_sequence import LEFTOVERS, SOFT, TERM, StopSequence
from runtime.process.threads import in_thread
from runtime.roots import RootedPath

if TYPE_CHECKING:
    from runtime.process.group_exits import GroupExits
    from runtime.process.stop_sequence import GentleStep

T = TypeVar("T")

logger: Final = logging.getLogger("runtime.process")


@attrs.frozen
class StopSteps:
    """The stop sequence of a tree. A timeout of `None` means no limit."""

    term_timeout: float | None
    """Seconds between SIGTERM and SIGKILL."""
    kill_timeout: float | None
    """Seconds after SIGKILL within which all processes must have ended."""
    soft: SoftStep | None = None
    """The soft stop before SIGTERM. SIGTERM is sent earlier if the root exits earlier."""

    @property
    def gentle(self) -> Sequence[GentleStep]:
        """The steps before SIGKILL."""
        term = (TERM, self.term_timeout)
        return [term] if self.soft is None else [(SOFT, self.soft.seconds), term]


@attrs.frozen
class TreeEnd:
    """How a tree ended."""

    exit: Exit = UNKNOWN
    """How its root ended, and what was used; `UNKNOWN` if that is not known."""
    stopped: bool = False
    """Whether a stop was requested before its root had exited."""
    left: Sequence[int] | None = None
    """`None` if no process is left; else the pids of those that did not end, as far as they are known."""
    broken: str | None = None
    """Why it was ended without a request to stop: its guard has died."""
    log: bytes | None = None
    """The content of its log, if that is short and was read."""
    left_behind: Sequence[str] = ()
    """Processes that outlived the root and the leftover timeout, and were killed: names and pids."""


class NotMadeError(Exception):
    """A shim could not make a job's files: one of them exists already, or cannot be made."""


class ProcessTree(Protocol):
    """A root process in a session of its own, and its descendants."""

    @property
    def pid(self) -> int | None:
        """The pid of the root; `None` before it was started."""

    async def wait_started(self) -> None:
        """Wait until the root was started.

        Raises:
            OSError: if it cannot be started; with an `errno` in `BUSY_ERRORS` it may work later.
            ValueError: if an argument or variable cannot be passed to a program, as one with a NUL byte.
            NotMadeError: if the shim was to make its files, and could not.
        """

    async def wait_ended(self) -> TreeEnd:
        """Wait until no process is left, or it was abandoned. To be called once."""

    def ancestor(self) -> int | None:
        """Return the pid of a process whose descendants are processes of this tree; `None` if it is not known.

        These are all of it, but for those that have left their parents: such are in the session of the root, or cannot
        be found. The process is the root, or one that is no part of the tree.
        """

    def announce_end(
        self, channel: trio.MemorySendChannel[tuple[T, TreeEnd]], item: T, otherwise: Callable[[], object]
    ) -> None:
        """Send `item` and the end when it has ended, so that one task can wait for many trees.

        Args:
            channel: of unlimited size.
            item: is sent once, unless `otherwise` is called.
            otherwise: is called instead, perhaps at once, if a task has to call `wait_ended`: it starts that.
        """

    async def wait_gone(self) -> None:
        """Wait, after the end, until nothing remains to be done for it; forever, if its root is stuck."""

    def has_ended(self) -> bool:
        """Whether the root is known to have exited."""

    def stop(self, steps: StopSteps) -> None:
        """Begin the stop sequence. Does nothing if the root has exited by itself."""

    def kill(self) -> None:
        """Skip the rest of the stop sequence: SIGKILL now."""

    def pause(self) -> None:
        """Send SIGSTOP to all its processes, unless they are being killed."""

    def unpause(self, seconds: float) -> None:
        """Continue them, if they are paused, and extend the step of its stop by `seconds`, the time of the pause."""

    def postpone(self, seconds: float) -> None:
        """Extend the step of its stop sequence that is in progress: it stood still as long, and so did this process."""

    def destroy(self) -> None:
        """End it at once, when no task waits for it. May block until it has died: for threads."""

    def close(self) -> None:
        """Abandon it; the processes that are left are killed. Idempotent."""


Limit = Callable[[trio.CancelScope, float], object]
"""Cancels a scope in so many seconds; those of a standstill need not count."""


def limit_by_deadline(scope: trio.CancelScope, seconds: float) -> None:
    """A `Limit` for which a standstill counts."""
    scope.deadline = trio.current_time() + seconds


@attrs.define(eq=False, slots=False)
class GroupTree:
    """The process group of a child: a `ProcessTree` without the processes that leave the group."""

    child: Child
    """The root."""
    _process_table: ProcessTable
    """Tells which processes are alive in a group."""
    _kill_timeout: float | None
    """Seconds that processes which outlive the root may take to die; `None` for no limit."""
    _files: trio.CapacityLimiter
    """For the thread that makes a stop file; it may be stuck in the job's file system."""
    _leftover_timeout: float
    """Seconds that processes which outlive the root have to exit by themselves, before they are named and killed; 0 to
    kill them at once."""
    _exits: GroupExits
    """Notices the exit of its root, if its end is to be announced."""
    log: RootedPath | None = None
    """Its log, which is read at its end if it is short and the end is announced."""
    _stopped: bool = attrs.field(default=False, init=False)
    _soft: int | RootedPath | None = attrs.field(default=None, init=False)
    _exit: Exit = attrs.field(default=UNKNOWN, init=False)
    _end: TreeEnd | None = attrs.field(default=None, init=False)
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False)  # of the step in progress
    _paused: bool = attrs.field(default=False, init=False)
    limit: Limit = attrs.field(default=limit_by_deadline, init=False)
    """How the steps of its stop are limited. A standstill is noticed only after the deadlines that it has passed: a
    backend that learns of standstills sets a `Limit` that waits for that."""

    @cached_property
    def _waiting(self) -> trio.CancelScope:
        return trio.CancelScope()  # made on demand, as this is: for most trees no task waits

    @cached_property
    def _sequence(self) -> StopSequence:
        return StopSequence(self._kill_timeout)  # made on demand: most trees need none

    def __repr__(self) -> str:
        return f"<GroupTree of {self.child!r}>"

    @property
    def pid(self) -> int:
        """The pid of the root."""
        return self.child.pid

    async def wait_started(self) -> None:
        """Return at once, without a checkpoint: the root was started before."""

    async def wait_ended(self) -> TreeEnd:
        """Wait until no process is left in the group, or it was abandoned."""
        if self._end is not None:
            return self._end
        with self._waiting:
            await self.child.wait_exited()
        left_behind: Sequence[str] = ()
        if self._stopped:
            scope = await self._stop_gently()
        elif (at_once := self.end_at_once()) is not None:
            return at_once
        elif self._leftover_timeout:
            self._sequence.begin([(LEFTOVERS, self._leftover_timeout)], self._kill_timeout)
            step, scope = self._take_step()
            if step == LEFTOVERS:
                left_behind = await end_leftovers(self.child, self._process_table, scope)
                self._sequence.force()
                _, scope = self._take_step()
        else:
            scope = trio.CancelScope()
            limit_by_deadline(scope, math.inf if self._kill_timeout is None else self._kill_timeout)
        end = await sweep_group(self.child, self._process_table, scope, self._exit)
        return TreeEnd(end.exit, self._stopped, end.left, left_behind=left_behind)

    def end_at_once(self) -> TreeEnd | None:
        """Return the end, after the exit of its root, if no process is left, as usual; `None` if a task has to wait."""
        if self._stopped:
            return None
        if not self._leftover_timeout:
            self.child.signal_group(signal.SIGKILL)
        # Reaped first: then one system call tells whether its group is empty.
        if not self.child.reaped:
            self._exit = self.child.reap()
        if self.child.group_exists():
            return None
        self._end = TreeEnd(self._exit)
        self.close()
        return self._end

    async def _stop_gently(self) -> trio.CancelScope:
        """Take the steps before SIGKILL; return the scope of that."""
        descendants = Descendants(self.child, self._process_table)
        while True:
            step, scope = self._take_step()
            if step == SOFT:
                with scope:
                    await self._soft_stop(descendants)
            elif step == TERM:
                with scope:
                    await terminate_group(self.child, descendants)
            else:
                return scope
            self._sequence.end_step()

    def _take_step(self) -> tuple[str | None, trio.CancelScope]:
        """Return the step that is due, and a scope for its time."""
        now = trio.current_time()
        step = self._sequence.take(now)
        self._scope = trio.CancelScope()
        self.limit(self._scope, self._sequence.seconds_left(now))
        return step, self._scope

    def ancestor(self) -> int:
        """Return the pid of the root."""
        return self.child.pid

    def announce_end(
        self, channel: trio.MemorySendChannel[tuple[T, TreeEnd]], item: T, otherwise: Callable[[], object]
    ) -> None:
        """Send `item` and the end when it has ended; call `otherwise` when a stop begins, or processes outlive it."""
        if self._stopped:
            otherwise()
        else:
            self._exits.add(self, lambda end: channel.send_nowait((item, end)), otherwise)

    async def _soft_stop(self, descendants: Descendants) -> None:
        soft = self._soft
        if isinstance(soft, int):
            await soft_stop_group(self.child, self._process_table, descendants, soft)
        elif soft is not None and await in_thread(
            make_stop_file, soft, limiter=self._files, paths=lambda: (soft.real,)
        ):
            await self.child.wait_exited()

    async def wait_gone(self) -> None:
        """Wait for the end of the root, if it was abandoned, and reap it."""
        if not self.child.reaped:
            await self.child.wait_exited()
            self.child.reap()

    def has_ended(self) -> bool:
        """Whether the root has exited."""
        return self.child.has_exited()

    def stop(self, steps: StopSteps) -> None:
        """Begin the stop sequence. Does nothing if the root has exited by itself."""
        if not self._stopped and not self.child.has_exited():
            self._stopped = True
            self._soft = None if steps.soft is None else steps.soft.what
            self._sequence.begin(steps.gentle, steps.kill_timeout)
            self.unpause(0)  # stopped processes could not act on the soft step
            self._waiting.cancel()
            self._exits.hand_over(self)

    def kill(self) -> None:
        """Skip the rest of the stop sequence: SIGKILL now."""
        gently = self._sequence.step in (SOFT, TERM, LEFTOVERS)
        self._sequence.force()
        if gently and self._scope is not None:
            self._scope.cancel()

    def pause(self) -> None:
        """Send SIGSTOP to all processes of the group."""
        self._paused = True
        self.child.signal_group(signal.SIGSTOP)

    def unpause(self, seconds: float) -> None:
        """Continue them, if they are paused, and extend the step of its stop by `seconds`, the time of the pause."""
        if self._paused:
            self._paused = False
            self.postpone(seconds)
            self.child.signal_group(signal.SIGCONT)

    def postpone(self, seconds: float) -> None:
        """Extend the step of its stop sequence that is in progress."""
        self._sequence.postpone(seconds)
        if self._scope is not None:
            self._scope.deadline += seconds

    def destroy(self) -> None:
        """Kill the group, and reap the root. Blocks until it has died."""
        self.child.destroy()

    def close(self) -> None:
        """Kill the group, unless the root is reaped, and close the descriptor."""
        self.child.signal_group(signal.SIGKILL)
        self.child.close()
        self.limit = limit_by_deadline  # a method of its owner, which refers to this tree


def make_stop_file(path: RootedPath) -> bool:
    """Make the file that tells a job to stop; return whether it exists now. Blocks."""
    try:
        return path.touch()
    except OSError as exc:
        logger.warning("a stop file cannot be made: %s", exc)
        return False
