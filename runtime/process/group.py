"""End the process group of a child, by SIGTERM or SIGKILL, and wait until no process of it is left.

As long as the root is not reaped, the number of its group cannot be reused, and signals are safe. So the root stays a
zombie until the last signal was sent; after that the group is only checked. A check costs one system call in the usual
case, that no process is left. Otherwise ``/proc`` is read, which tells zombies from living processes, as ``kill`` does
not: a zombie that is never reaped (many containers have no proper init process) does not count.

A process that has left the group (`setsid`) is not killed. But in a soft stop and at SIGTERM, the descendants of the
root in other groups (such as a simulator behind `timeout`) are signalled as well, if the process table leads to
them (`Descendants`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import attrs
import trio

from runtime.process.child import UNKNOWN, Child, Exit
from runtime.process.guard.procfs import (
    EXITED,
    ProcessEntry,
    describe,
    ignores,
    is_alive,
    read_entries,
    still_exists,
    with_descendants,
)
from runtime.process.guard.signals import forwarders, signal_each_once
from runtime.process.threads import in_thread

T = TypeVar("T")

_FIRST_DELAY: Final = 0.001
_LAST_DELAY: Final = 0.05
"""Seconds between two checks of a group that has not ended, at first and at most. Arbitrary: ten times longer would
delay the end of each such job by as much; ten times shorter would read ``/proc`` all the time."""

_SEARCH_TIMEOUT: Final = 1.0
"""Seconds that the search for processes outside of a group may take before the group alone is signalled. Arbitrary: a
search takes milliseconds, but at a limit of processes no thread can be started for it, and SIGTERM is due."""

_CHEAP_CHECKS: Final = 3
"""Checks with one system call before ``/proc`` is read. Not measured: with ten times as many, the end of a group of
unreaped zombies is seen a second late; with none, each end costs a reading of ``/proc``."""


@attrs.frozen
class GroupEnd:
    """How a group ended."""

    exit: Exit
    """How its root ended; `UNKNOWN` if it did not, or if other code in this process has reaped it."""
    left: Sequence[int] | None = None
    """`None` if no process is left; else the pids of those that did not end, as far as they are known."""


class ProcessTable:
    """Tells which processes are alive in a process group. One reading of ``/proc`` answers all tasks that wait for it.

    Args:
        limiter: for the thread that reads.
    """

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._lock = trio.Lock()
        self._begun = 0
        self._groups: Mapping[int, Sequence[int]] = {}

    async def members(self, group: int) -> Sequence[int]:
        """Return the pids of those that are alive in `group`, by a reading that begins after this call."""
        # A reading that had begun before may have passed a process that was forked since.
        enough = self._begun + 1
        async with self._lock:
            if self._begun < enough:
                self._begun += 1
                self._groups = await self.in_thread(living_groups)
            return self._groups.get(group, ())

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call `function` in the thread that reads."""
        return await in_thread(function, limiter=self._limiter)


def living_groups() -> dict[int, list[int]]:
    """Return the pids of all living processes, by process group. Blocks."""
    groups: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return groups
    for name in names:
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The second field is the program's name in parentheses, and may itself contain parentheses.
                    state, _, group = file.read().rpartition(b")")[2].split(None, 3)[:3]
            except (OSError, ValueError):
                continue  # it has ended
            if state not in EXITED:
                groups.setdefault(int(group), []).append(int(name))
    return groups


class Descendants:
    """The root of a group and its descendants, in its group or outside. The process table is read in a thread.

    Args:
        root: must not be reaped.
        process_table: reads the process table.
    """

    def __init__(self, root: Child, process_table: ProcessTable) -> None:
        self._root = root
        self._process_table = process_table
        self._found: Sequence[ProcessEntry] = read_entries([root.pid])

    async def refresh(self) -> None:
        """Find the descendants that can be found now, of the root or of those that were found before."""
        with trio.move_on_after(_SEARCH_TIMEOUT):
            self._found = await self._process_table.in_thread(
                lambda: list(with_descendants(list(filter(still_exists, self._found))))
            )

    def _outside(self) -> list[ProcessEntry]:
        return [one for one in self._found if one.group != self._root.pid]

    async def signal(self, *numbers: int) -> None:
        """Send signals to the group and to the descendants outside of it, to each process once."""
        one_by_one: Sequence[ProcessEntry] = self._found
        if not forwarders(one for one in self._found if one.group == self._root.pid):
            for number in numbers:  # one system call for the group: it misses no process that is just being forked
                self._root.signal_group(number)
            one_by_one = self._outside()
        if one_by_one:
            await self._process_table.in_thread(lambda: signal_each_once(one_by_one, *numbers))

    async def alive(self) -> list[int]:
        """Return the pids of those that are alive, in the group or found outside."""
        pids = [*await self._process_table.members(self._root.pid)]
        if outside := self._outside():
            pids += await self._process_table.in_thread(lambda: [one.pid for one in outside if is_alive(one)])
        return pids


async def soft_stop_group(child: Child, process_table: ProcessTable, descendants: Descendants, number: int) -> None:
    """Send a signal to `child` and its descendants; wait until no process is left that may still act on it.

    A shell dies of it at once, while the simulator that it has started closes its files. When the root has ended,
    processes that ignore the signal are not waited for.
    """
    await descendants.refresh()  # before the signal: a process whose parent has died is not found
    await descendants.signal(number)
    await child.wait_exited()
    checks = 0
    while pids := await descendants.alive():
        if await process_table.in_thread(partial(_all_ignore, pids, number)):
            return
        checks += 1
        await trio.sleep(_delay(checks))


def _all_ignore(pids: Sequence[int], number: int) -> bool:
    return all(ignores(pid, number) for pid in pids)


async def terminate_group(child: Child, descendants: Descendants) -> None:
    """Send SIGTERM to `child` and its descendants, and wait until they have ended."""
    await descendants.refresh()
    await descendants.signal(signal.SIGTERM, signal.SIGCONT)  # a stopped process acts on SIGTERM only after SIGCONT
    await child.wait_exited()
    checks = 0
    while await descendants.alive():
        checks += 1
        await trio.sleep(_delay(checks))


async def end_leftovers(child: Child, process_table: ProcessTable, scope: trio.CancelScope) -> Sequence[str]:
    """Wait until the processes that `child` has left in its group exit; kill the others, and return their names.

    Args:
        child: the root, which is reaped. So one system call tells in the usual case that no process is left.
        process_table: tells which processes are left.
        scope: not entered yet; its deadline or its cancellation ends the wait.
    """
    try:
        with scope:
            await _wait_empty(child, process_table)
            return ()
        with trio.move_on_after(_SEARCH_TIMEOUT):
            pids = await process_table.members(child.pid)
            return await process_table.in_thread(lambda: describe(read_entries(list(pids))))
        return ("processes whose names could not be read",)
    finally:
        child.kill_rest()


async def sweep_group(
    child: Child, process_table: ProcessTable, scope: trio.CancelScope, how: Exit = UNKNOWN
) -> GroupEnd:
    """Kill the group of `child`, reap `child`, and wait until no process of the group is left, or `scope` has ended.

    Args:
        child: the root.
        process_table: tells which processes are left.
        scope: not entered yet; its deadline ends the wait.
        how: how the root ended, if it was reaped and its group killed before.
    """
    child.signal_group(signal.SIGKILL)
    with scope:
        if not child.has_exited():
            await child.wait_exited()
        how = how if child.reaped else child.reap()
        await _wait_empty(child, process_table)
        return GroupEnd(how)
    with trio.move_on_after(1):
        return GroupEnd(how, await process_table.members(child.pid))
    return GroupEnd(how, ())


async def _wait_empty(child: Child, process_table: ProcessTable) -> None:
    """Wait until no process is left in the group of `child`, which is reaped; without a checkpoint if none is."""
    checks = 0
    while child.group_exists():
        checks += 1
        if checks > _CHEAP_CHECKS and not await process_table.members(child.pid):
            return
        await trio.sleep(_delay(checks))


def _delay(checks: int) -> float:
    """Return the seconds until the next check, after so many."""
    return min(_FIRST_DELAY * 2.0 ** min(checks - 1, 16), _LAST_DELAY)  # a larger exponent would overflow some day
