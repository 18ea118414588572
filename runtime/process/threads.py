"""`in_thread`: a thread for a call that blocks, also where there is hardly room for one.

A thread counts as a process: at its user's limit, and at that of a cgroup (`pids.max`), none can be started, and trio
says so by a `RuntimeError`; without memory for its stack or for what belongs to it, too, or by a `MemoryError`. That is
no bug, and must end nothing: jobs that end make room.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_FIRST_DELAY: Final = 0.01
_LAST_DELAY: Final = 1.0
"""Seconds between two attempts to start a thread, at first and at most. Out of the air."""


async def in_thread(
    function: Callable[[*Ts], T], *args: *Ts, limiter: trio.CapacityLimiter, wait_for_room: bool = True
) -> T:
    """Return what ``function(*args)`` returns, which is called in a thread.

    Cancelling is prompt, and leaves the thread to itself.

    Args:
        function: may block.
        args: for it.
        limiter: how many threads of this class of work there may be.
        wait_for_room: whether to try again, with a delay that grows, when no thread can be started.

    Raises:
        OSError: with `errno.EAGAIN`, if no thread can be started and nobody is to wait for that.
    """
    delay = _FIRST_DELAY
    while True:
        call = _Call(function, args)
        try:
            return await trio.to_thread.run_sync(call.run, limiter=limiter, abandon_on_cancel=True)
        except (RuntimeError, MemoryError) as exc:
            if not call.begin():  # the function raised it
                raise
            if not wait_for_room:
                raise OSError(errno.EAGAIN, f"no thread can be started: {str(exc) or repr(exc)}") from exc
        await trio.sleep(delay)
        delay = min(2 * delay, _LAST_DELAY)


class _Call:
    """A call that begins once: in its thread, or, when no thread can be had, not at all.

    A thread may be there although starting it raised, for want of memory to wait for it, say.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self._begun = threading.Lock()

    def begin(self) -> bool:
        """Whether nobody has called this before."""
        return self._begun.acquire(blocking=False)

    def run(self) -> Any:
        return self._function(*self._args) if self.begin() else None
