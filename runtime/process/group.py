"""Ending the process group of a child: gently, or at once, and seeing that nobody of it is left.

As long as the root is not reaped, its group's number is taken, and signals are safe; so the root stays a zombie until
the last signal was sent, and after that the group is only looked at. Looking costs one system call in the usual case,
that nobody is left. Otherwise it is a look at ``/proc``, which knows what ``kill`` does not: a zombie that nobody reaps
(there is no proper init process in many containers) is not alive.

This is as far as a group goes: a process that left it (`setsid`) is not found.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import attrs
import trio

from runtime.process.child import UNKNOWN, Child, Exit
from runtime.process.threads import in_thread

T = TypeVar("T")

_FIRST_LOOK: Final = 0.001
_LAST_LOOK: Final = 0.05
"""Seconds between two looks at a group that will not go, at first and at most. Out of the air."""

_PATIENT_LOOKS: Final = 3
"""Looks with one system call before ``/proc`` is read."""


@attrs.frozen
class GroupEnd:
    """How the end of a group went."""

    exit: Exit
    """How its root ended; `UNKNOWN` if it did not, or if somebody else has reaped it."""
    left: Sequence[int] | None = None
    """`None` if nobody is left; else the ids of those that did not go, as far as they are known."""


class Census:
    """Who is alive in which process group. One reading of ``/proc`` answers all who ask at that time.

    Args:
        limiter: for the thread that reads.
    """

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
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


async def terminate_group(child: Child, census: Census, grace: trio.CancelScope) -> None:
    """Ask the group of `child` to end, and wait until all of it has, or for the end of `grace`.

    Args:
        child: the root.
        census: tells who is left.
        grace: not entered yet; its deadline or its cancellation ends the wait.
    """
    child.signal_group(signal.SIGTERM)
    child.signal_group(signal.SIGCONT)  # a stopped process could not act on the first
    with grace:
        await child.wait_exited()
        delay = _FIRST_LOOK
        while await census.members(child.pid):
            await trio.sleep(delay)
            delay = min(2 * delay, _LAST_LOOK)


async def sweep_group(child: Child, census: Census, patience: float) -> GroupEnd:
    """Kill the group of `child`, reap that, and wait until nobody of the group is left, `patience` seconds at most."""
    child.signal_group(signal.SIGKILL)
    how = UNKNOWN
    with trio.move_on_after(patience):
        if not child.has_exited():
            await child.wait_exited()
        how = child.reap()
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
