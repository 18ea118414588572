"""`end_leftovers`: ends the processes that a run which was killed has left on this machine.

The guards of a run end its jobs when its process dies, within moments. What is left of them, because a guard was killed
as well, is found by a variable of its environment, which all processes of a run inherit and none can take out of its
entry in ``/proc`` by changing its environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from runtime.process.guard.procfs import EXITED, ProcessEntry, parent_of, read_entry

GUARD_TIMEOUT: Final = 3.0
"""Seconds for the guards of the run to end its jobs, before what is left is killed. Arbitrary: a guard takes 2 s at
most; ten times more would delay each resume after a guard was killed, too; with a tenth, jobs lose their soft end."""
KILL_TIMEOUT: Final = 10.0
"""Seconds from the first SIGKILL until all must have ended. Arbitrary: a process that waits for a disk takes as long as
that; ten times more looks like a hang; with a tenth, a large simulator has not given its memory back."""
_INTERVAL: Final = 0.02
"""Seconds between two looks at the process table, which take about 1 ms for a hundred processes. Arbitrary."""


def left_of(variable: str, value: str) -> Iterator[ProcessEntry]:
    """Yield the processes of our user whose environment was given ``variable=value``, but neither this one nor its
    ancestors. Blocks.
    """
    marker = b"\0" + os.fsencode(f"{variable}={value}") + b"\0"
    ours = set(_ancestors())
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) in ours:
            continue
        with suppress(OSError):  # it has ended, or is another user's
            if os.stat(f"/proc/{name}").st_uid != os.geteuid():
                continue
            before = read_entry(int(name))
            with open(f"/proc/{name}/environ", "rb") as file:
                is_marked = marker in b"\0" + file.read() + b"\0"
            if is_marked and before is not None and before.state not in EXITED:
                yield before


def end_leftovers(
    variable: str,
    value: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[ProcessEntry]:
    """Wait until all processes with ``variable=value`` have ended, then kill those that are left. Blocks.

    Args:
        variable: the name of the variable.
        value: its value.
        clock: returns the time in seconds.
        sleep: waits for so many seconds.

    Returns:
        Those that could not be ended.
    """
    kill_from = clock() + GUARD_TIMEOUT
    give_up = kill_from + KILL_TIMEOUT
    while (left := list(left_of(variable, value))) and (now := clock()) < give_up:
        if now >= kill_from:
            for process in left:
                _kill(process)
        sleep(_INTERVAL)
    return left


def _kill(process: ProcessEntry) -> None:
    """Kill a process; nothing happens if it has ended, also if another one has its pid."""
    with suppress(OSError):
        fd = os.pidfd_open(process.pid)
        try:
            now = read_entry(process.pid)  # of the process that `fd` stands for, or of a later one, which differs
            if now is not None and now.start == process.start:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)


def _ancestors() -> Iterator[int]:
    """Yield this process, its parent, and so on."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        pid = parent_of(pid)
