"""`each_in_thread`: several calls in one thread, as a hop to one costs as much as a small call.

Those after a call that is stalled are made by another thread: none waits for it. Those for the same file system wait
for their turn (`runtime.process.filesystems`), and hold up none of the others either.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar

import attrs
import trio

from runtime.process.filesystems import STALLED, FileSystems
from runtime.process.threads import in_background, in_thread

T = TypeVar("T")
R = TypeVar("R")


class Work(Generic[T, R]):
    """Calls that are made one after the other by a thread, or by several if one is stalled.

    Args:
        function: may block, and raises nothing.
        items: what it is called with.
        discard: gets what it returned when nobody wants that any more; called in a thread. May block.
        paths: tells which files a call needs, as for `in_thread`.
    """

    def __init__(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        discard: Callable[[R], object] = lambda _: None,
        paths: Callable[[T], Sequence[str]] = lambda _: (),
    ) -> None:
        self._function = function
        self._queue = deque(items)
        self._discard = discard
        self._paths = paths
        self._lock = threading.Lock()
        self._abandoned = False
        self._results: list[tuple[T, R]] = []
        self._put_off: list[T] = []
        self.begun = 0
        """How many calls have begun."""
        self.ended = 0
        """How many have returned."""

    def run(self, hop: _Hop, file_systems: FileSystems) -> None:
        """Make the calls that nobody has begun, and put off those whose file systems do not answer. Blocks."""
        while True:
            with self._lock:
                if self._abandoned or not self._queue:
                    return
                item = self._queue.popleft()
                if not hop.is_put_off and file_systems.is_silent(self._paths(item)):
                    self._put_off.append(item)
                    continue
                self.begun += 1
            hop.paths = partial(self._paths, item)
            result = self._function(item)
            file_systems.note_answer(self._paths(item))
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

    def take_put_off(self) -> Sequence[tuple[Work[T, R], _Hop]]:
        """Return what was put off, each call by itself and what makes it; they are nothing of this any more."""
        with self._lock:
            items, self._put_off = self._put_off, []
        return [
            (
                Work(self._function, [item], self._discard, self._paths),
                _Hop(partial(self._paths, item), is_put_off=True),
            )
            for item in items
        ]

    def left(self) -> Sequence[T]:
        """Return the items that no call has begun with, and that were not put off."""
        with self._lock:
            return list(self._queue)

    def abandon(self) -> None:
        """Make no more calls; nobody waits for the results any longer. Does not block."""
        with self._lock:
            self._abandoned = True
        results = self.take()
        if results:
            in_background(lambda: [self._discard(result) for _, result in results])


async def each_in_thread(
    work: Work[T, R],
    *,
    limiter: trio.CapacityLimiter,
    nursery: trio.Nursery,
    done: Callable[[Sequence[tuple[T, R]]], object],
    wait_for_room: bool = True,
) -> None:
    """Make calls in a thread; return when each has returned, but for those that are stalled or were put off.

    Args:
        work: the calls.
        limiter: as for `in_thread`.
        nursery: what is stalled or put off goes on in it, until the call returns.
        done: gets items with their results, all that there are; called in the event loop, for what is stalled after
            this has returned.
        wait_for_room: as for `in_thread`; what was put off always waits.

    Raises:
        OSError: as `in_thread`; `Work.left` says what has not begun.
    """
    calls = _Calls(limiter, nursery, done)
    stalled: list[_Hop] = []
    while True:
        hop = _Hop()
        nursery.start_soon(calls.make, work, hop, wait_for_room)
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
                hop.stalled = (begun, ended) == (work.begun, work.ended) and begun - ended > others
                if hop.stalled:
                    calls.file_systems.note_stalled(hop.paths())
                calls.tell(work)
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

    paths: Callable[[], Sequence[str]] = tuple
    """Tells which files its present call needs."""
    is_put_off: bool = False
    """Whether its call was put off before, so that `in_thread` has it wait for its turn."""
    ended: trio.Event = attrs.field(factory=trio.Event)
    stalled: bool = False
    error: Exception | None = None


@attrs.frozen
class _Calls(Generic[T, R]):
    """How calls are made, and who is told."""

    limiter: trio.CapacityLimiter
    nursery: trio.Nursery
    done: Callable[[Sequence[tuple[T, R]]], object]
    file_systems: FileSystems = attrs.field(factory=FileSystems.here)

    @trio.lowlevel.enable_ki_protection
    async def make(self, work: Work[T, R], hop: _Hop, wait_for_room: bool) -> None:
        """Make calls in one thread."""
        try:
            await in_thread(
                work.run,
                hop,
                self.file_systems,
                limiter=self.limiter,
                wait_for_room=wait_for_room,
                paths=lambda: hop.paths(),  # noqa: PLW0108 - it changes
            )
        except trio.Cancelled:
            work.abandon()
            raise
        except Exception as exc:
            if hop.stalled or hop.is_put_off:
                raise
            hop.error = exc
        finally:
            hop.ended.set()
        self.tell(work)

    def tell(self, work: Work[T, R]) -> None:
        """Say what has been returned, and see to what was put off."""
        results = work.take()
        if results:
            self.done(results)
        for single, hop in work.take_put_off():
            self.nursery.start_soon(self.make, single, hop, True)
