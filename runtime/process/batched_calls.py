"""`each_in_thread`: make several calls in one thread, as a hop to a thread costs as much as a small call.

If a call is stalled, another thread makes those that follow. Calls for a file system that is silent are deferred
(`runtime.process.filesystems`), and do not hold up the others either.
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
    """Calls that are made one after the other, by one thread, or by more if one is stalled.

    It is made for `each_in_thread`. Whoever made it may read its counts, ask what is `left`, and abandon it.

    Args:
        function: may block, and raises nothing.
        items: its arguments, one for each call.
        discard: called in a thread with each result that comes after `abandon`. May block.
        paths: returns the files that a call needs, as for `in_thread`.
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
        self._deferred: list[T] = []
        self.begun: int = 0
        """How many calls have begun."""
        self.ended: int = 0
        """How many have returned."""

    def run(self, hop: _Hop, file_systems: FileSystems) -> None:
        """Make the calls that have not begun, and defer those for silent file systems. Blocks."""
        while True:
            with self._lock:
                # Under the lock: `abandon` either prevents a call, or its result is discarded below.
                if self._abandoned or not self._queue:
                    return
                item = self._queue.popleft()
                paths = partial(self._paths, item)
                if not hop.is_deferred and file_systems.is_silent(paths):
                    self._deferred.append(item)
                    continue
                self.begun += 1
            hop.paths = paths
            result = self._function(item)
            file_systems.note_answer(paths)
            with self._lock:
                self.ended += 1
                if not self._abandoned:
                    self._results.append((item, result))
                    continue
            self._discard(result)  # outside of the lock, as it may block

    def take(self) -> Sequence[tuple[T, R]]:
        """Return the results that were not taken before, with their items."""
        with self._lock:
            results, self._results = self._results, []
            return results

    def take_deferred(self) -> Sequence[tuple[Work[T, R], _Hop]]:
        """Remove and return the deferred calls, each as a `Work` of its own with its hop."""
        with self._lock:
            items, self._deferred = self._deferred, []
        return [
            (
                Work(self._function, [item], self._discard, self._paths),
                _Hop(partial(self._paths, item), is_deferred=True),
            )
            for item in items
        ]

    def left(self) -> Sequence[T]:
        """Return the items whose calls have not begun, and were not deferred."""
        with self._lock:
            return list(self._queue)

    def abandon(self) -> None:
        """Make no more calls, and discard the results. Does not block."""
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
    wait_for_thread: bool = True,
) -> None:
    """Make calls in a thread; return when all have returned, except those that are stalled or deferred.

    Args:
        work: the calls.
        limiter: as for `in_thread`.
        nursery: runs the stalled and deferred calls until they return.
        done: called in the event loop with new results and their items; for stalled and deferred calls after this has
            returned.
        wait_for_thread: as for `in_thread`; deferred calls always wait.

    Raises:
        OSError: as `in_thread`; `Work.left` returns the items whose calls have not begun.
    """
    calls = _CallMaker(limiter, nursery, done)
    stalled: list[_Hop] = []
    while True:
        hop = _Hop()
        nursery.start_soon(calls.make, work, hop, wait_for_thread)
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
                # No call has begun or returned meanwhile, and one is in progress besides those of the stalled hops: it
                # is this hop's. Without the count, a hop that has no call would seem stalled because of the others.
                hop.stalled = (begun, ended) == (work.begun, work.ended) and begun - ended > others
                if hop.stalled:
                    calls.file_systems.note_stalled(hop.paths())
                calls.deliver(work)
        if hop.stalled:
            stalled.append(hop)
        elif hop.error is not None:
            if not (stalled and isinstance(hop.error, OSError)):
                work.abandon()
                raise hop.error
            await trio.sleep(STALLED)  # no thread can be started to take over; a stalled call may return meanwhile
        if not work.left():
            return


@attrs.define(eq=False)
class _Hop:
    """One hop to a thread, which makes calls."""

    paths: Callable[[], Sequence[str]] = tuple
    """Returns the files that its current call needs."""
    is_deferred: bool = False
    """Whether its call was deferred: then `in_thread` makes it wait for the file system."""
    ended: trio.Event = attrs.field(factory=trio.Event)
    stalled: bool = False
    error: Exception | None = None


@attrs.frozen
class _CallMaker(Generic[T, R]):
    """How calls are made, and where their results go."""

    limiter: trio.CapacityLimiter
    nursery: trio.Nursery
    done: Callable[[Sequence[tuple[T, R]]], object]
    file_systems: FileSystems = attrs.field(factory=FileSystems.here)

    @trio.lowlevel.enable_ki_protection
    async def make(self, work: Work[T, R], hop: _Hop, wait_for_thread: bool) -> None:
        """Make calls in one thread."""
        try:
            await in_thread(
                work.run,
                hop,
                self.file_systems,
                limiter=self.limiter,
                wait_for_thread=wait_for_thread,
                paths=lambda: hop.paths(),  # noqa: PLW0108 - each call replaces `hop.paths`
            )
        except trio.Cancelled:
            work.abandon()
            raise
        except Exception as exc:
            # `each_in_thread` does not wait for these, and would not see the error.
            if hop.stalled or hop.is_deferred:
                raise
            hop.error = exc
        finally:
            hop.ended.set()
        self.deliver(work)

    def deliver(self, work: Work[T, R]) -> None:
        """Pass the new results on, and start the deferred calls."""
        results = work.take()
        if results:
            self.done(results)
        for single, hop in work.take_deferred():
            self.nursery.start_soon(self.make, single, hop, True)
