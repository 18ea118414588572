"""`ExitWatch`: wait in a thread for the exit of a process, or for a descriptor, whichever comes first.

The end of a socket is no sign of an exit: a forked child of the process keeps the socket open. A pidfd is one. Without
it (an old kernel, or a seccomp filter that forbids `pidfd_open`) the process is polled every `POLL_INTERVAL` seconds.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Final

import trio

POLL_INTERVAL: Final = 0.1
"""Seconds between two polls of a process without a pidfd. Arbitrary: ten times longer, and each exit is noticed up to a
second late; ten times shorter, and each waiting thread wakes up a hundred times a second."""


_WAIT_INTERVAL: Final = 0.01
"""The same while a thread waits for the end that is due. Arbitrary."""


class ExitWatch:
    """Watches one process until this object is deleted. Any number of threads may wait at the same time.

    Args:
        pid: the process, which must not be reaped, so that its pid is not reused.
        has_exited: returns whether it has exited, without blocking; called where there is no pidfd.
    """

    def __init__(self, pid: int, has_exited: Callable[[], bool]) -> None:
        self.has_exited = has_exited
        self._pidfd = _pidfd_of(pid)

    def close(self) -> None:
        """Stop watching: for an owner that knows that no thread waits. Idempotent."""
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            os.close(pidfd)

    __del__ = close

    def wait(self, timeout: float) -> bool:
        """Block until the process has exited, for at most `timeout` seconds; return whether it has."""
        deadline = time.monotonic() + timeout
        if self._pidfd is not None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            poll.poll(timeout * 1000)
        while not self.has_exited() and time.monotonic() < deadline:
            time.sleep(_WAIT_INTERVAL)
        return self.has_exited()

    def wait_ready(self, fd: int, events: int, deadline: float = float("inf")) -> bool:
        """Block until `fd` is ready, and return true; or until the process has exited, and return false.

        If both are true, `fd` is ready, so that what was written before the exit is read.

        Args:
            fd: a descriptor.
            events: the events to wait for, as for `select.poll`.
            deadline: seconds of `time.monotonic`.

        Raises:
            TimeoutError: if neither is true at the deadline.
        """
        poll = select.poll()
        poll.register(fd, events)
        if self._pidfd is not None:
            poll.register(self._pidfd, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            timeout = left if self._pidfd is not None else min(left, POLL_INTERVAL)
            ready = poll.poll(None if timeout == float("inf") else max(0.0, timeout) * 1000)
            # Checked before the exit, so that data which was written before it is read.
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
        while not self.has_exited():  # noqa: ASYNC110 - without a pidfd it has to be polled
            await trio.sleep(POLL_INTERVAL)


def _pidfd_of(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None  # not on this system, forbidden, or EMFILE: it is polled instead
