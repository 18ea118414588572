"""`ExitWatch`: has a process exited? For threads, which wait for that or for a descriptor, whichever comes first.

The end of a socket does not tell: whatever the process has forked keeps its end of it open. A pidfd does. Where there
is none (an old kernel, or a filter that forbids `pidfd_open`), somebody looks every `LOOK_INTERVAL` seconds.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Final

import trio

LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks at a process without a pidfd. Arbitrary: ten looks a second for each waiting thread cost
nothing to speak of, and an exit is seen as late as that."""


class ExitWatch:
    """Watches one process, until this object is dropped. Any number of threads may wait at the same time.

    Args:
        pid: the process; its number must not have been given to another one meanwhile.
        has_exited: says whether it has, without blocking; asked where there is no pidfd.
    """

    def __init__(self, pid: int, has_exited: Callable[[], bool]) -> None:
        self.has_exited = has_exited
        self._pidfd = _pidfd_of(pid)

    def __del__(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)

    def wait_ready(self, fd: int, events: int, deadline: float = float("inf")) -> bool:
        """Block until `fd` is ready, and return true; or until the process has exited, and return false.

        If both are true, `fd` is ready: what was written before the exit is read.

        Args:
            fd: a descriptor.
            events: what it is to be ready for, as for `select.poll`.
            deadline: by `time.monotonic`, in seconds.

        Raises:
            TimeoutError: if neither is true at the deadline.
        """
        poll = select.poll()
        poll.register(fd, events)
        if self._pidfd is not None:
            poll.register(self._pidfd, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            patience = left if self._pidfd is not None else min(left, LOOK_INTERVAL)
            ready = poll.poll(None if patience == float("inf") else max(0.0, patience) * 1000)
            if any(which == fd for which, _ in ready):
                return True
            if ready or (self._pidfd is None and self.has_exited()):
                return False
            if left <= 0:
                raise TimeoutError

    async def wait_exited(self) -> None:
        """Wait until the process has exited."""
        if self._pidfd is not None:
            await trio.lowlevel.wait_readable(self._pidfd)
        while not self.has_exited():  # noqa: ASYNC110 - without a pidfd nothing else tells of it
            await trio.sleep(LOOK_INTERVAL)


def _pidfd_of(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None  # no such call here, forbidden, or no descriptor is left: then the slow way has to do
