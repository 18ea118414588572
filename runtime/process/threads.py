"""`in_thread`: a thread for a call that blocks; no call waits for another that is stuck.

A thread counts as a process: at its user's limit, and at that of a cgroup (`pids.max`), none can be started, and trio
says so by a `RuntimeError`; without memory for its stack or for what belongs to it, too, or by a `MemoryError`. That is
no bug, and must end nothing: jobs that end make room.

A call may also never return: a file system that does not answer, under the directory of one job. It would keep its
place among the threads of its limiter, and a few of them would keep all places. So while calls wait for a place, those
that hold one are looked at: one that is *stalled*, as it has used no processor for a while, gives its place to others.
To see that costs nothing while there are free places. The next calls for the same file system, if they say what they
are for, wait without a thread (`runtime.process.filesystems`): so the place is for those that have to do with others.
"""

from __future__ import annotations

import errno
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final, TypeVar, TypeVarTuple

import trio

from runtime.process.filesystems import MOST_STALLED, STALLED, FileSystems

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_IDLE: Final = 0.1
"""The share of that time for which a call that makes progress uses a processor, at least. Arbitrary."""

_FIRST_DELAY: Final = 0.01
_LAST_DELAY: Final = 1.0
"""Seconds between two attempts to start a thread, at first and at most. Arbitrary."""


async def in_thread(
    function: Callable[[*Ts], T],
    *args: *Ts,
    limiter: trio.CapacityLimiter,
    wait_for_room: bool = True,
    abandon_on_cancel: bool = True,
    paths: Callable[[], Sequence[str]] = tuple,
) -> T:
    """Return what ``function(*args)`` returns, which is called in a thread.

    Cancelling is prompt, and leaves the thread to itself, unless `abandon_on_cancel` is false.

    Args:
        function: may block.
        args: for it.
        limiter: how many threads of this class of work there may be; those that are stalled do not count while others
            wait: `MOST_STALLED` for each file system, and as many that are for none.
        wait_for_room: whether to try again, with a delay that grows, when no thread can be started.
        abandon_on_cancel: as for `trio.to_thread.run_sync`: false where what it returns must not be lost.
        paths: tells, at any time and in any thread, which files it needs, that with which it is busy first: absolute
            paths without links. If one is on a file system that does not answer, the call begins when it is its turn.

    Raises:
        OSError: with `errno.EAGAIN`, if no thread can be started and nobody is to wait for that.
    """
    delay = _FIRST_DELAY
    places = _JobPaths.of(limiter)
    in_turn = False
    while True:
        call = _Call(function, args, places, paths, in_turn=in_turn)
        places.look_if_full()
        try:
            result = await trio.to_thread.run_sync(call.run, limiter=limiter, abandon_on_cancel=abandon_on_cancel)
        except (RuntimeError, MemoryError) as exc:
            if not call.begin():  # the function raised it
                raise
            if not wait_for_room:
                raise OSError(errno.EAGAIN, f"no thread can be started: {str(exc) or repr(exc)}") from exc
            await trio.sleep(delay)
            delay = min(2 * delay, _LAST_DELAY)
        else:
            if result is not _NOT_BEGUN:
                return result  # type: ignore[no-any-return] # a thread's: what the function returned
            await places.file_systems.wait_turn(paths())
            in_turn = True


def in_background(function: Callable[[], object]) -> None:
    """Call a function that may block, and raises nothing, in a thread for which nobody waits; when there can be one."""
    try:
        trio.lowlevel.start_thread_soon(function, lambda _: None)
    except (RuntimeError, MemoryError):
        trio.lowlevel.spawn_system_task(partial(in_thread, function, limiter=trio.CapacityLimiter(1)))


_NOT_BEGUN: Final = object()
"""What a call returns that is to wait for its turn."""


class _Call:
    """A call that begins once: in its thread, or, when no thread can be had, not at all.

    A thread may be there although starting it raised, for want of memory to wait for it, say.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        places: _JobPaths,
        paths: Callable[[], Sequence[str]],
        *,
        in_turn: bool,
    ) -> None:
        self._function = function
        self._args = args
        self._places = places
        self.paths = paths
        self._in_turn = in_turn
        self.device: str | None = None
        """The file system in which it is stalled, once it has given its place."""
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
        if self._places.file_systems.is_silent(self.paths(), in_turn=self._in_turn):
            return _NOT_BEGUN
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
                self._places.take_back(self)
            else:
                self._places.file_systems.note_answer(self.paths())

    def used(self) -> float:
        """Return the seconds of processor time that its thread has used."""
        try:
            return 0.0 if self._clock is None else time.clock_gettime(self._clock)
        except OSError:  # the thread has ended
            return 0.0

    def has_given_place(self) -> bool:
        """Whether it has."""
        return self._place_given

    def give_place(self) -> bool:
        """Note that its place is given to others, unless it has ended, or that was noted before."""
        with self._lock:
            given = not (self._ended or self._place_given)
            self._place_given = self._place_given or given
            return given


class _JobPaths:
    """The calls of a limiter, and who of them has given up its place."""

    _all: ClassVar[weakref.WeakKeyDictionary[trio.CapacityLimiter, _JobPaths]] = weakref.WeakKeyDictionary()

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = weakref.ref(limiter)
        self._token = trio.lowlevel.current_trio_token()
        self.file_systems = FileSystems.here()
        self._given = 0
        """How many that are for no file system we know have given theirs."""
        self._looking = False
        self.calls: set[_Call] = set()
        """Those that are in progress. Threads change it, each by one operation."""

    @classmethod
    def of(cls, limiter: trio.CapacityLimiter) -> _JobPaths:
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
                    if call.used() - used < _IDLE * STALLED:
                        self._note_stalled(call, limiter)
                del limiter
        finally:
            self._looking = False

    def _note_stalled(self, call: _Call, limiter: trio.CapacityLimiter) -> None:
        if call.has_given_place():
            return  # that is known, and does not make its file system silent again when others there return
        device = self.file_systems.note_stalled(call.paths())
        if (device is not None or self._given < MOST_STALLED) and call.give_place():
            call.device = device
            if device is None:
                self._given += 1
            else:
                self.file_systems.add_stalled(device)
            limiter.total_tokens += 1

    def take_back(self, call: _Call) -> None:
        """A call that has given its place up has ended. From any thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._take_back, call)

    def _take_back(self, call: _Call) -> None:
        limiter = self._limiter()
        if call.device is None:
            self._given -= 1
        else:
            self.file_systems.remove_stalled(call.device)
        if limiter is not None:
            limiter.total_tokens -= 1
