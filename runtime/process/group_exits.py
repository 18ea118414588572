"""`GroupExits`: notices the exits of many process groups in one task, and reads their short logs in one thread.

A task for each group would cost more than all else at its end. So the pidfds of all roots are in one epoll; the roots
that have exited meanwhile are reaped together, and one call of a thread reads their logs. A group that is to be
stopped, or whose processes outlive the root, is handed over to a task of its own.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence

import attrs
import trio

from runtime.process.batched_calls import Work, each_in_thread
from runtime.process.guard.job_files import read_short
from runtime.process.trees import GroupTree, TreeEnd
from runtime.roots import RootedPath


@attrs.frozen(eq=False)
class _Waiting:
    """A group whose root has not been seen to exit."""

    tree: GroupTree
    announce: Callable[[TreeEnd], object]
    hand_over: Callable[[], object]


@attrs.define(eq=False)
class _Ended:
    """A group that has ended, and whose log is to be read."""

    end: TreeEnd
    log: RootedPath
    announce: Callable[[TreeEnd], object]
    is_announced: bool = False

    def paths(self) -> Sequence[str]:
        """Return the path whose file system has to answer."""
        return (self.log.real,)

    def read(self) -> bytes | None:
        """Return the log, if it is short. Blocks."""
        try:
            return read_short(self.log.open_regular())
        except OSError:
            return None  # judging it says why

    def announce_with(self, text: bytes | None) -> None:
        """Announce the end, unless that was done."""
        if not self.is_announced:
            self.is_announced = True
            self.announce(attrs.evolve(self.end, log=text))


class GroupExits:
    """Announces the ends of process groups, while `run` runs.

    Args:
        limiter: limits the threads that read logs.
    """

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._waiting: dict[int, _Waiting] = {}
        """By the pidfds of their roots."""
        self._epoll: select.epoll | None = None  # made for the first group
        self._begun = trio.Event()
        self._is_closed = False

    def add(self, tree: GroupTree, announce: Callable[[TreeEnd], object], hand_over: Callable[[], object]) -> None:
        """Call one of the two: `announce` with the end of `tree`, or `hand_over` when a task has to wait for that."""
        if self._is_closed:
            tree.close()  # its processes must not outlive the backend
            return
        try:
            if self._epoll is None:
                self._epoll = select.epoll()
                self._begun.set()
            self._epoll.register(tree.child, select.EPOLLIN)
        except OSError:  # no descriptor, or no memory: a task needs neither
            hand_over()
            return
        self._waiting[tree.child.fileno()] = _Waiting(tree, announce, hand_over)

    def hand_over(self, tree: GroupTree) -> None:
        """Let a task see to the end of a group from now on, if it was added and has not exited."""
        if tree.child.fileno() in self._waiting:
            self._take(tree.child.fileno()).hand_over()

    async def run(self) -> None:
        """Serve until cancelled. Then the groups that are left are killed."""
        try:
            await self._begun.wait()
            assert self._epoll is not None
            async with trio.open_nursery() as nursery:
                while True:
                    await trio.lowlevel.wait_readable(self._epoll)
                    await self._read_logs(list(self._reap(self._epoll)), nursery)
        finally:
            self._is_closed = True
            for one in self._waiting.values():
                one.tree.close()
            if self._epoll is not None:
                self._epoll.close()

    def _reap(self, epoll: select.epoll) -> Iterator[_Ended]:
        """Reap the roots that have exited. Those whose logs need not be read are announced, or handed over."""
        for number, _ in epoll.poll(0):
            one = self._take(number)
            end = one.tree.end_at_once()
            if end is None:
                one.hand_over()
            elif one.tree.log is None:
                one.announce(end)
            else:
                yield _Ended(end, one.tree.log, one.announce)

    def _take(self, number: int) -> _Waiting:
        assert self._epoll is not None
        self._epoll.unregister(number)
        return self._waiting.pop(number)

    async def _read_logs(self, ended: Sequence[_Ended], nursery: trio.Nursery) -> None:
        """Announce ends with their logs; without one, if its file system does not answer."""

        def done(results: Sequence[tuple[_Ended, bytes | None]]) -> None:
            for one, text in results:
                one.announce_with(text)

        if ended:
            work = Work(_Ended.read, ended, paths=_Ended.paths)
            await each_in_thread(work, limiter=self._limiter, nursery=nursery, done=done)
            for one in ended:
                one.announce_with(None)
