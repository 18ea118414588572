"""`in_thread`: a thread for a call that blocks; no call waits for another that is stuck.

A thread counts as a process: at its user's limit, and at that of a cgroup (`pids.max`), none can be started, and trio
says so by a `RuntimeError`; without memory for its stack or for what belongs to it, too, or by a `MemoryError`. That is
no bug, and must end nothing: jobs that end make room.

A call may also never return: a file system that does not answer, under the directory of one job. It would keep its
place among the threads of its limiter, and a few of them would keep all places. So while calls wait for a place, those
that hold one are looked at: one that is *stalled*, as it has used no processor for a while, gives its place to others.
To see that costs nothing while there are free places.
"""

from __future__ import annotations

import errno
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final, TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STALLED: Final = 0.3
"""Seconds without progress after which a call is stalled. Arbitrary: shorter than anybody notices, and long enough for
a slow disk; who is taken for stalled and is not costs a thread more."""

_IDLE: Final = 0.1
"""The share of that time for which a call that makes progress uses a processor, at least. Arbitrary."""

MOST_STALLED: Final = 64
"""Stalled calls of one limiter whose places others get, at most; those beyond them keep their places. Arbitrary: ten
times as many would be as much memory as a simulator takes."""

_FIRST_DELAY: Final = 0.01
_LAST_DELAY: Final = 1.0
"""Seconds between two attempts to start a thread, at first and at most. Out of the air."""


async def in_thread(
    function: Callable[[*Ts], T],
    *args: *Ts,
    limiter: trio.CapacityLimiter,
    wait_for_room: bool = True,
    abandon_on_cancel: bool = True,
) -> T:
    """Return what ``function(*args)`` returns, which is called in a thread.

    Cancelling is prompt, and leaves the thread to itself, unless `abandon_on_cancel` is false.

    Args:
        function: may block.
        args: for it.
        limiter: how many threads of this class of work there may be; of those that are stalled, `MOST_STALLED` do not
            count while others wait.
        wait_for_room: whether to try again, with a delay that grows, when no thread can be started.
        abandon_on_cancel: as for `trio.to_thread.run_sync`: false where what it returns must not be lost.

    Raises:
        OSError: with `errno.EAGAIN`, if no thread can be started and nobody is to wait for that.
    """
    delay = _FIRST_DELAY
    places = _Places.of(limiter)
    while True:
        call = _Call(function, args, places)
        places.look_if_full()
        try:
            return await trio.to_thread.run_sync(call.run, limiter=limiter, abandon_on_cancel=abandon_on_cancel)
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

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], places: _Places) -> None:
        self._function = function
        self._args = args
        self._places = places
        self._begun = threading.Lock()
        self._lock = threading.Lock()
        self._ended = False
        self._place_given = False
        self._clock: int | None = None

    def begin(self) -> bool:
        """Whether nobody has called this before."""
        return self._begun.acquire(blocking=False)

    def run(self) -> Any:
        if not self.begin():
            return None
        if hasattr(time, "pthread_getcpuclockid"):  # not on every system; without it, whatever takes long is stalled
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._places.calls.add(self)
        try:
            return self._function(*self._args)
        finally:
            self._places.calls.discard(self)
            with self._lock:
                self._ended = True
            if self._place_given:
                self._places.take_back()

    def used(self) -> float:
        """Return the seconds of processor time that its thread has used."""
        try:
            return 0.0 if self._clock is None else time.clock_gettime(self._clock)
        except OSError:  # the thread has ended
            return 0.0

    def give_place(self) -> bool:
        """Note that its place is given to others, unless it has ended, or that was noted before."""
        with self._lock:
            given = not (self._ended or self._place_given)
            self._place_given = self._place_given or given
            return given


class _Places:
    """The calls of a limiter, and who of them has given up its place."""

    _all: ClassVar[weakref.WeakKeyDictionary[trio.CapacityLimiter, _Places]] = weakref.WeakKeyDictionary()

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = weakref.ref(limiter)
        self._token = trio.lowlevel.current_trio_token()
        self._given = 0
        self._looking = False
        self.calls: set[_Call] = set()
        """Those that are in progress. Threads change it, each by one operation."""

    @classmethod
    def of(cls, limiter: trio.CapacityLimiter) -> _Places:
        """Return those of a limiter."""
        places = cls._all.get(limiter)
        if places is None or places._token is not trio.lowlevel.current_trio_token():
            places = cls._all[limiter] = cls(limiter)
        return places

    def look_if_full(self) -> None:
        """Look for stalled calls from now on, if somebody has to wait for a place."""
        limiter = self._limiter()
        if not self._looking and limiter is not None and limiter.available_tokens <= 0:
            self._looking = True
            # It belongs to the limiter, which may be anybody's, and ends by itself when nobody waits.
            trio.lowlevel.spawn_system_task(self._look)

    async def _look(self) -> None:
        try:
            while True:
                before = {call: call.used() for call in self.calls.copy()}
                await trio.sleep(STALLED)
                limiter = self._limiter()
                if limiter is None or not limiter.statistics().tasks_waiting:
                    return
                for call, used in before.items():
                    if self._given < MOST_STALLED and call.used() - used < _IDLE * STALLED and call.give_place():
                        self._given += 1
                        limiter.total_tokens += 1
                del limiter
        finally:
            self._looking = False

    def take_back(self) -> None:
        """A call that has given its place up has ended. From any thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._take_back)

    def _take_back(self) -> None:
        limiter = self._limiter()
        self._given -= 1
        if limiter is not None:
            limiter.total_tokens -= 1
