"""Ending the process group of a child: gently, or at once, and seeing that nobody of it is left.

As long as the root is not reaped, its group's number is taken, and signals are safe; so the root stays a zombie until
the last signal was sent, and after that the group is only looked at. Looking costs one system call in the usual case,
that nobody is left. Otherwise it is a look at ``/proc``, which knows what ``kill`` does not: a zombie that nobody reaps
(there is no proper init process in many containers) is not alive.

This is as far as a group goes: a process that left it (`setsid`) is not killed. Only while the root is asked gently to
end, those that come from it and have another group (a simulator behind `timeout`) are asked as well, if they can be
found by way of their parents (`Descendants`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import trio

from runtime.process.child import UNKNOWN, Child, Exit
from runtime.process.threads import in_thread

if TYPE_CHECKING:
    from runtime.process.supervisor_program import ProcessEntry

T = TypeVar("T")

_FIRST_LOOK: Final = 0.001
_LAST_LOOK: Final = 0.05
"""Seconds between two looks at a group that will not go, at first and at most. Arbitrary."""

_LOOK_TIMEOUT: Final = 1.0
"""Seconds that the search for processes outside of a group may take, before the group is signalled without. Arbitrary:
a search takes milliseconds, but at a limit of processes there may be no thread to be had for it."""

_PATIENT_LOOKS: Final = 3
"""Looks with one system call before ``/proc`` is read."""


@attrs.frozen
class GroupEnd:
    """How the end of a group went."""

    exit: Exit
    """How its root ended; `UNKNOWN` if it did not, or if somebody else has reaped it."""
    left: Sequence[int] | None = None
    """`None` if nobody is left; else the ids of those that did not go, as far as they are known."""


class ProcessTable:
    """Who is alive in which process group. One reading of ``/proc`` answers all who ask at that time.

    Args:
        limiter: for the thread that reads.
    """

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        # Now, as a program that only imports us does without, and later there may be no descriptor for it.
        from runtime.process import supervisor_program

        self.far = supervisor_program
        """What reads the process table."""
        self._limiter = limiter
        self._lock = trio.Lock()
        self._begun = 0
        self._groups: Mapping[int, Sequence[int]] = {}

    async def members(self, group: int) -> Sequence[int]:
        """Return the ids of those that are alive in `group`, from a reading that begins after this call."""
        wanted = self._begun + 1
        async with self._lock:
            if self._begun < wanted:
                self._begun += 1
                self._groups = await self.in_thread(living_groups)
            return self._groups.get(group, ())

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call `function` in the thread that reads."""
        return await in_thread(function, limiter=self._limiter)


def living_groups() -> dict[int, list[int]]:
    """Return the ids of all processes that are alive, by process group. Blocks."""
    groups: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return groups
    for name in names:
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The second field is the program's name, in parentheses, and may itself have any of them.
                    state, _, group = file.read().rpartition(b")")[2].split(None, 3)[:3]
            except (OSError, ValueError):
                continue  # it has gone
            if state not in (b"Z", b"X"):
                groups.setdefault(int(group), []).append(int(name))
    return groups


class Descendants:
    """The root of a group and all that come from it, in its group or outside. The process table is read in a thread.

    Args:
        root: is not reaped.
        census: whose thread that is.
    """

    def __init__(self, root: Child, census: ProcessTable) -> None:
        self._root = root
        self._census = census
        self._found: Sequence[ProcessEntry] = census.far.processes([root.pid])

    async def look(self) -> None:
        """Find those that can be found now, from the root or from those that were found before."""
        far = self._census.far
        with trio.move_on_after(_LOOK_TIMEOUT):
            self._found = await self._census.in_thread(lambda: list(far.tree(list(filter(far.is_there, self._found)))))

    def _outside(self) -> list[ProcessEntry]:
        return [one for one in self._found if one.group != self._root.pid]

    async def signal(self, *numbers: int) -> None:
        """Send signals to the group and to those outside, to each once."""
        far = self._census.far
        one_by_one: Sequence[ProcessEntry] = self._found
        if not far.forwarders(one for one in self._found if one.group == self._root.pid):
            for number in numbers:  # at one stroke, as far as that goes: nobody is missed who is just being forked
                self._root.signal_group(number)
            one_by_one = self._outside()
        if one_by_one:
            await self._census.in_thread(lambda: far.send_once(one_by_one, *numbers))

    async def alive(self) -> list[int]:
        """Return the ids of those in the group, and of those found outside, that are alive."""
        pids = [*await self._census.members(self._root.pid)]
        if outside := self._outside():
            far = self._census.far
            pids += await self._census.in_thread(lambda: [one.pid for one in outside if far.is_alive(one)])
        return pids


async def ask_softly(child: Child, census: ProcessTable, descendants: Descendants, number: int) -> None:
    """Send a signal to all that come from `child`; wait until nobody is left who may still act on it.

    A shell dies of it at once, while the simulator behind it has its files to close. Who ignores it is not waited for,
    once the root has ended.
    """
    await descendants.look()  # before anybody dies: who has no parent any more is not found
    await descendants.signal(number)
    await child.wait_exited()
    delay = _FIRST_LOOK
    while pids := await descendants.alive():
        if await census.in_thread(partial(_all_ignore, pids, number)):
            return
        await trio.sleep(delay)
        delay = min(2 * delay, _LAST_LOOK)


def _all_ignore(pids: Sequence[int], number: int) -> bool:
    from runtime.process import supervisor_program as far  # which is there since there is a `ProcessTable`

    return all(far.ignores(pid, number) for pid in pids)


async def terminate_group(child: Child, descendants: Descendants, grace: trio.CancelScope) -> None:
    """Ask all that come from `child` to end, and wait until they have, or for the end of `grace`.

    Args:
        child: the root.
        descendants: who comes from it.
        grace: not entered yet; its deadline or its cancellation ends the wait.
    """
    with grace:
        await descendants.look()
        await descendants.signal(signal.SIGTERM, signal.SIGCONT)  # a stopped process could not act on the first
        await child.wait_exited()
        delay = _FIRST_LOOK
        while await descendants.alive():
            await trio.sleep(delay)
            delay = min(2 * delay, _LAST_LOOK)


async def end_leftovers(child: Child, census: ProcessTable, grace: trio.CancelScope) -> Sequence[str]:
    """Give what `child` left in its group some time to go by itself; kill and name what does not.

    It is reaped already: so one system call tells that nobody is left, which is the usual case.

    Args:
        child: the root.
        census: tells who is left.
        grace: not entered yet; its deadline or its cancellation ends the time.
    """
    if not child.group_exists():
        return ()
    far = census.far
    try:
        looks, delay = 0, _FIRST_LOOK
        with grace:
            while child.group_exists() and (looks <= _PATIENT_LOOKS or await census.members(child.pid)):
                await trio.sleep(delay)
                looks, delay = looks + 1, min(2 * delay, _LAST_LOOK)
            return ()
        with trio.move_on_after(_LOOK_TIMEOUT):
            pids = await census.members(child.pid)
            return await census.in_thread(lambda: far.named(far.processes(list(pids))))
        return ("processes whose names could not be read",)
    finally:
        child.kill_rest()


async def sweep_group(child: Child, census: ProcessTable, patience: trio.CancelScope, how: Exit = UNKNOWN) -> GroupEnd:
    """Kill the group of `child`, reap that, and wait until nobody of the group is left, or for the end of `patience`.

    Args:
        child: the root.
        census: tells who is left.
        patience: not entered yet; its deadline ends the wait.
        how: how the root ended, if it was reaped before, and its group killed.
    """
    child.signal_group(signal.SIGKILL)
    with patience:
        if not child.has_exited():
            await child.wait_exited()
        how = how if child.reaped else child.reap()
        looks, delay = 0, _FIRST_LOOK
        while child.group_exists():
            looks += 1
            if looks > _PATIENT_LOOKS and not await census.members(child.pid):
                break
            await trio.sleep(delay)
            delay = min(2 * delay, _LAST_LOOK)
        return GroupEnd(how)
    with trio.move_on_after(1):
        return GroupEnd(how, await census.members(child.pid))
    return GroupEnd(how, ())
