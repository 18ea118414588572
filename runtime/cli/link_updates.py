"""`LinkUpdates`: moves the links of jobs as their statuses change, in threads, as fast as the disk allows."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from typing import Final, Protocol

import trio

from runtime.job import JobPaths, JobResult, JobSpec, JobStatus
from runtime.process import Work, each_in_thread
from runtime.report.links import Links
from runtime.scheduler.statuses import StatusChange

logger: Final = logging.getLogger("runtime.cli")

LINK_INTERVAL: Final = 0.1
"""Seconds between two rounds of the links: of several changes of a job in between, only the last is linked. Arbitrary:
ten times longer, links are visibly late; ten times shorter, short jobs cost two links each."""
_LINK_THREADS: Final = 2
"""Threads that make links; threads in stalled calls do not count. Arbitrary: they wait for a file system, so ten times
more only load it; with one, a slow file system would delay the links of all others."""
_LINKS_TIMEOUT: Final = 2.0
"""Seconds without a new link after which, at the end of a run, the missing ones are abandoned. Arbitrary: ten times
longer, the program seems to hang; ten times shorter, links on a slow file system are lost."""

_Move = tuple[str, str | None, JobStatus]
"""A job whose link is to be moved: its id, its output directory if that is known, its status."""


class CallSafely(Protocol):
    """Awaits ``function(*args)``, and keeps its error."""

    async def __call__(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Await it."""
        ...


class LinkUpdates:
    """The links of one run, which follow its jobs. Made in the event loop.

    Args:
        links: makes the links.
        paths_of: returns where the files of a job are that has not completed; `None` if that is not known.
        call_safely: keeps errors, so that they end nothing.
        goes: whether the directory of a job, by its id, goes when it has passed. Then it gets no link before `finish`.
    """

    def __init__(
        self,
        links: Links,
        paths_of: Callable[[JobSpec], JobPaths | None],
        call_safely: CallSafely,
        goes: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._links = links
        self._paths_of = paths_of
        self._goes = goes
        self._call_safely = call_safely
        self._limiter = trio.CapacityLimiter(_LINK_THREADS)
        self._changes: dict[str, StatusChange[JobSpec]] = {}
        """By job: its last change that is not linked yet."""
        self._changed = trio.Event()

    def see(self, change: StatusChange[JobSpec]) -> None:
        """Note a change, for the next round."""
        self._changes[change.id] = change
        self._changed.set()

    async def run(self) -> None:
        """Move the links of what was seen, until cancelled."""
        async with trio.open_nursery() as stalled:
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                changes, self._changes = self._changes.values(), {}
                work = self._due((change.id, self._directory(change), change.new) for change in changes)
                await self._call_safely(self._move, work, stalled)
                await trio.sleep(LINK_INTERVAL)

    async def finish(self, results: Sequence[JobResult[JobSpec]], removed: Container[str] = ()) -> None:
        """Make the links of all results but those of `removed` directories, by id, as far as file systems answer.

        Links of jobs whose file system does not are abandoned. So are all others if the stalled calls use up the
        threads.
        """
        moves = ((each.id, None if each.id in removed else each.odir, each.status) for each in results)
        work = self._due(moves)
        async with trio.open_nursery() as stalled:
            stalled.start_soon(self._abandon, work, stalled.cancel_scope)
            await self._call_safely(self._move, work, stalled)
            stalled.cancel_scope.cancel()

    def _due(self, moves: Iterable[_Move]) -> Work[_Move, None]:
        """Return the moves that are left: most jobs have their link when a run ends, and some have no directory."""
        return Work(self._links.move, [move for move in moves if self._links.is_due(move)])

    def _directory(self, change: StatusChange[JobSpec]) -> str | None:
        """Return the output directory of a job that runs or has ended, if it is known."""
        if change.new is not JobStatus.RUNNING:
            goes = change.new is JobStatus.PASSED and self._goes(change.id)
            return None if change.event is None or goes else change.event.odir
        paths = self._paths_of(change.job)  # no completion tells yet
        return None if paths is None else paths.odir

    async def _abandon(self, work: Work[_Move, None], scope: trio.CancelScope) -> None:
        """Cancel `scope` when no link was made for `_LINKS_TIMEOUT`."""
        ended = -1
        while ended < work.ended:
            ended = work.ended
            await trio.sleep(_LINKS_TIMEOUT)
        scope.cancel()  # the threads stay in their calls until the process ends
        logger.warning("links of %d jobs were not made: their file systems do not answer", len(work.left()))

    async def _move(self, work: Work[_Move, None], stalled: trio.Nursery) -> None:
        await each_in_thread(work, limiter=self._limiter, nursery=stalled, done=lambda _: None)
