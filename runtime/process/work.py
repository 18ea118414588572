"""`each_in_thread`: several calls in one thread, as a hop to one costs as much as a small call.

Those after a call that is stalled are made by another thread: none waits for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import attrs
import trio

from runtime.process.threads import STALLED, in_thread

T = TypeVar("T")
R = TypeVar("R")


class Work(Generic[T, R]):
    """Calls that are made one after the other by a thread, or by several if one is stalled.

    Args:
        function: may block, and raises nothing.
        items: what it is called with.
        discard: gets what it returned when nobody wants that any more. May block.
    """

    def __init__(
        self, function: Callable[[T], R], items: Iterable[T], discard: Callable[[R], object] = lambda _: None
    ) -> None:
        self._function = function
        self._queue = deque(items)
        self._discard = discard
        self._lock = threading.Lock()
        self._abandoned = False
        self._results: list[tuple[T, R]] = []
        self.begun = 0
        """How many calls have begun."""
        self.ended = 0
        """How many have returned."""

    def run(self) -> None:
        """Make the calls that nobody has begun. Blocks."""
        while True:
            with self._lock:
                if self._abandoned or not self._queue:
                    return
                item = self._queue.popleft()
                self.begun += 1
            result = self._function(item)
            with self._lock:
                self.ended += 1
                if not self._abandoned:
                    self._results.append((item, result))
                    continue
            self._discard(result)

    def take(self) -> Sequence[tuple[T, R]]:
        """Return what has been returned and was not taken before, with the items."""
        with self._lock:
            results, self._results = self._results, []
            return results

    def left(self) -> Sequence[T]:
        """Return the items that no call has begun with."""
        with self._lock:
            return list(self._queue)

    def abandon(self) -> None:
        """Make no more calls; nobody waits for the results any longer."""
        with self._lock:
            self._abandoned = True
        for _, result in self.take():
            self._discard(result)


async def each_in_thread(
    work: Work[T, R],
    *,
    limiter: trio.CapacityLimiter,
    nursery: trio.Nursery,
    done: Callable[[Sequence[tuple[T, R]]], object],
    wait_for_room: bool = True,
) -> None:
    """Make calls in a thread; return when each has returned, but for those that are stalled.

    Args:
        work: the calls.
        limiter: as for `in_thread`.
        nursery: what is stalled goes on in it, until the call returns.
        done: gets items with their results, all that there are; called in the event loop, for what is stalled after
            this has returned.
        wait_for_room: as for `in_thread`.

    Raises:
        OSError: as `in_thread`; `Work.left` says what has not begun.
    """
    stalled: list[_Hop] = []
    while True:
        hop = _Hop()
        nursery.start_soon(hop.run, work, limiter, done, wait_for_room)
        while not (hop.ended.is_set() or hop.stalled):
            begun, ended = work.begun, work.ended
            others = sum(not each.ended.is_set() for each in stalled)
            try:
                with trio.move_on_after(STALLED):
                    await hop.ended.wait()
            except BaseException:
                work.abandon()
                raise
            if not hop.ended.is_set():
                _tell(work, done)
                hop.stalled = (begun, ended) == (work.begun, work.ended) and begun - ended > others
        if hop.stalled:
            stalled.append(hop)
        elif hop.error is not None:
            if not (stalled and isinstance(hop.error, OSError)):
                work.abandon()
                raise hop.error
            await trio.sleep(STALLED)  # there is no thread to take over; what is stalled may end meanwhile
        if not work.left():
            return


@attrs.define(eq=False)
class _Hop:
    """One thread for calls."""

    ended: trio.Event = attrs.field(factory=trio.Event)
    stalled: bool = False
    error: Exception | None = None

    @trio.lowlevel.enable_ki_protection
    async def run(
        self,
        work: Work[T, R],
        limiter: trio.CapacityLimiter,
        done: Callable[[Sequence[tuple[T, R]]], object],
        wait_for_room: bool,
    ) -> None:
        try:
            await in_thread(work.run, limiter=limiter, wait_for_room=wait_for_room)
        except trio.Cancelled:
            work.abandon()
            raise
        except Exception as exc:
            if self.stalled:
                raise
            self.error = exc
        finally:
            self.ended.set()
        _tell(work, done)


def _tell(work: Work[T, R], done: Callable[[Sequence[tuple[T, R]]], object]) -> None:
    results = work.take()
    if results:
        done(results)
