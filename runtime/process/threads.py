"""`in_thread`: make a call that blocks in a thread; no call waits for another that is stuck.

A thread counts as a process: at the limit of a user or of a cgroup (`pids.max`) none can be started, and trio raises a
`RuntimeError`. Without memory for its stack it raises that, or a `MemoryError`. Neither is a bug, and neither may end a
run: jobs that end free what is missing.

A call may never return, as when the file system of one job's directory does not answer. It would hold its token of the
limiter, and a few such calls would hold all of them. So while calls wait for a token, those that hold one are watched:
a call that has used no CPU time for a while is *stalled*, and the limiter is enlarged by one token until it returns.
While tokens are free nothing is watched. Further calls for the same file system, if they name their paths, wait without
a thread (`runtime.process.filesystems`), so the new token goes to calls for other file systems.
"""

from __future__ import annotations

import errno
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar, Final, Generic, TypeVar, TypeVarTuple

import trio

from runtime.process.filesystems import MOST_STALLED, STALLED, FileSystems

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Ts = TypeVarTuple("Ts")

_MIN_CPU_SHARE: Final = 0.1
"""The share of `STALLED` for which a call that makes progress uses a CPU, at least. Arbitrary: a call below it costs
one thread more; ten times less, and a call that retries now and then would never count as stalled."""

_FIRST_DELAY: Final = 0.01
_LAST_DELAY: Final = 1.0
"""Seconds between two attempts to start a thread, at first and at most. Arbitrary: ten times longer would delay a call
after a shortage by as much; each attempt costs a system call."""


async def in_thread(
    function: Callable[[*Ts], T],
    *args: *Ts,
    limiter: trio.CapacityLimiter,
    wait_for_thread: bool = True,
    abandon_on_cancel: bool = True,
    paths: Callable[[], Sequence[str]] = tuple,
) -> T:
    """Call ``function(*args)`` in a thread, and return its result.

    Cancellation is prompt, and abandons the thread, unless `abandon_on_cancel` is false.

    Args:
        function: may block.
        args: for it.
        limiter: limits the threads of this class of work. While other calls wait, stalled ones do not count, up to
            `MOST_STALLED` for each file system, and as many without a known one.
        wait_for_thread: whether to try again, with a growing delay, when no thread can be started.
        abandon_on_cancel: as for `trio.to_thread.run_sync`: false where the result must not be lost.
        paths: returns the files that the call needs, the one in use first: absolute paths without links. Called at any
            time, in any thread. If one is on a silent file system, the call waits until it may probe that.

    Raises:
        OSError: with `errno.EAGAIN`, if no thread can be started and `wait_for_thread` is false.
    """
    delay = _FIRST_DELAY
    limiter_calls = _LimiterCalls.of(limiter)
    probing = False
    while True:
        call = _Call(partial(function, *args), limiter_calls, paths, probing=probing)
        waits = limiter_calls.watch_if_full()
        try:
            result = await trio.to_thread.run_sync(call.run, limiter=limiter, abandon_on_cancel=abandon_on_cancel)
        except (RuntimeError, MemoryError) as exc:
            # Trio may raise these although the thread was started. The one that comes first begins the call: if the
            # thread was first, the function has raised this; if not, the thread will not call it.
            if not call.begin():
                raise
            if not wait_for_thread:
                raise OSError(errno.EAGAIN, f"no thread can be started: {str(exc) or repr(exc)}") from exc
        else:
            if not isinstance(result, _NotBegun):
                return result
            await limiter_calls.file_systems.wait_to_probe(paths())
            probing = True
            continue
        finally:
            if waits:
                limiter_calls.note_returned()
        await trio.sleep(delay)
        delay = min(2 * delay, _LAST_DELAY)


def in_background(function: Callable[[], object]) -> None:
    """Call a function that may block, and raises nothing, in a thread, as soon as one can be started. Does not wait."""
    try:
        trio.lowlevel.start_thread_soon(function, lambda _: None)
    except (RuntimeError, MemoryError):
        trio.lowlevel.spawn_system_task(partial(in_thread, function, limiter=trio.CapacityLimiter(1)))


class _NotBegun:
    """The result of a call that did not begin, because its file system is silent."""


_NOT_BEGUN: Final = _NotBegun()


class _Call(Generic[T_co]):
    """A call that is made at most once, by its thread."""

    def __init__(
        self,
        function: Callable[[], T_co],
        limiter_calls: _LimiterCalls,
        paths: Callable[[], Sequence[str]],
        *,
        probing: bool,
    ) -> None:
        self._function = function
        self._limiter_calls = limiter_calls
        self.paths = paths
        self._probing = probing
        self.device: str | None = None
        """The device of the file system in which it is stalled, once it has released its token."""
        self._begun = threading.Lock()
        self._lock = threading.Lock()
        self._ended = False
        self._token_released = False
        self._clock: int | None = None

    def begin(self) -> bool:
        """Whether this is the first call of this method, by the thread or by the task that has failed to start one."""
        return self._begun.acquire(blocking=False)

    def run(self) -> T_co | _NotBegun:
        if not self.begin():
            return _NOT_BEGUN  # nobody waits for it
        if self._limiter_calls.file_systems.is_silent(self.paths, probing=self._probing):
            return _NOT_BEGUN
        if hasattr(time, "pthread_getcpuclockid"):  # not on every system; without it each long call counts as stalled
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        # After the clock is known, as `_watch` reads it.
        self._limiter_calls.calls.add(self)
        try:
            return self._function()
        finally:
            self._limiter_calls.calls.discard(self)
            with self._lock:
                # From now on `release_token` returns false: no token for a call that has returned.
                self._ended = True
            if self._token_released:
                self._limiter_calls.restore_token(self)
            else:
                self._limiter_calls.file_systems.note_answer(self.paths)

    def used(self) -> float:
        """Return the seconds of CPU time that its thread has used."""
        try:
            return 0.0 if self._clock is None else time.clock_gettime(self._clock)
        except OSError:  # the thread has ended
            return 0.0

    def has_released_token(self) -> bool:
        """Whether it has released its token."""
        return self._token_released

    def release_token(self) -> bool:
        """Mark its token as released; return false if it has ended, or was marked before."""
        with self._lock:
            released = not (self._ended or self._token_released)
            self._token_released = self._token_released or released
            return released


class _LimiterCalls:
    """The calls of a limiter. Enlarges the limiter by a token for each that is stalled, until that returns."""

    _all: ClassVar[weakref.WeakKeyDictionary[trio.CapacityLimiter, _LimiterCalls]] = weakref.WeakKeyDictionary()

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = weakref.ref(limiter)
        self._token = trio.lowlevel.current_trio_token()
        self.file_systems = FileSystems.here()
        self._released = 0
        """How many calls without a known file system have released their tokens."""
        self._waiting = 0
        """How many calls had to wait for a token when they came, and have not returned."""
        self._watch_scope: trio.CancelScope | None = None
        """Encloses the task that watches, if there is one."""
        self.calls: set[_Call[object]] = set()
        """The calls in progress. Threads change it, each by one atomic operation of the set."""

    @classmethod
    def of(cls, limiter: trio.CapacityLimiter) -> _LimiterCalls:
        """Return those of `limiter`, in this run of trio."""
        limiter_calls = cls._all.get(limiter)
        # A limiter may be used by several runs of trio, one after the other.
        if limiter_calls is None or limiter_calls._token is not trio.lowlevel.current_trio_token():
            limiter_calls = cls._all[limiter] = cls(limiter)
        return limiter_calls

    def watch_if_full(self) -> bool:
        """Watch for stalled calls from now on, if the next call has to wait for a token; return whether it has to."""
        limiter = self._limiter()
        if limiter is None or limiter.available_tokens > 0:
            return False
        self._waiting += 1
        if self._watch_scope is None:
            self._watch_scope = trio.CancelScope()
            # A system task, as the limiter may outlive each nursery here. It ends when no call waits.
            trio.lowlevel.spawn_system_task(self._watch, self._watch_scope)
        return True

    def note_returned(self) -> None:
        """Take note that a call which had to wait has returned. With the last one the watch ends: no task is left."""
        self._waiting -= 1
        if not self._waiting and self._watch_scope is not None:
            self._watch_scope.cancel()
            self._watch_scope = None

    async def _watch(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                # `set.copy` is atomic; threads change the set meanwhile.
                before = {call: call.used() for call in self.calls.copy()}
                await trio.sleep(STALLED)
                limiter = self._limiter()
                if limiter is None or not limiter.statistics().tasks_waiting:
                    break
                for call, used in before.items():
                    if call.used() - used < _MIN_CPU_SHARE * STALLED:
                        self._note_stalled(call, limiter)
                # This task must not keep the limiter alive while it sleeps.
                del limiter
        if self._watch_scope is scope:
            self._watch_scope = None

    def _note_stalled(self, call: _Call[object], limiter: trio.CapacityLimiter) -> None:
        if call.has_released_token():
            return  # counted before; must not make its file system silent again after other calls there have returned
        device = self.file_systems.note_stalled(call.paths())
        if (device is not None or self._released < MOST_STALLED) and call.release_token():
            call.device = device
            if device is None:
                self._released += 1
            else:
                self.file_systems.add_stalled(device)
            limiter.total_tokens += 1

    def restore_token(self, call: _Call[object]) -> None:
        """Take back the token of a stalled call that has returned. For any thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._restore_token, call)

    def _restore_token(self, call: _Call[object]) -> None:
        limiter = self._limiter()
        if call.device is None:
            self._released -= 1
        else:
            self.file_systems.remove_stalled(call.device)
        if limiter is not None:
            limiter.total_tokens -= 1
