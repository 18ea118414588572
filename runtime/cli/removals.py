"""`Removals`: removes the output directories of jobs that have passed, with all that need them, while the run goes on.

::

    status changes ──► settled jobs ──► `Removed` in the journal ──► renamed, then removed, in a thread

The intent is written before anything is removed: a resume keeps the result, and does not take the directory as lost. If
it cannot be written, nothing is removed. The directory is renamed first, so that no part of one is ever at its place,
and a resume knows what is ours to remove: it finishes what a kill has interrupted, before it starts any job.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import attrs
import trio

from runtime.cli.settled import Settled
from runtime.job import JobCompletionEvent, JobSpec
from runtime.job.attempts import renames_odir
from runtime.job.status import PASSED
from runtime.jobfile.removable import REMOVED_ENDING
from runtime.process import Work, each_in_thread
from runtime.roots import RootedPath, Roots
from runtime.scheduler.statuses import StatusChange

logger: Final = logging.getLogger("runtime.cli")

_NOTHING: Final[Mapping[str, str | None]] = MappingProxyType({})

_INTERVAL: Final = 0.1
"""Seconds between two rounds: what settles in between is one record, and one hop to a thread. Arbitrary: ten times
longer, a run of short jobs holds a second of directories more; ten times shorter, each job costs both."""
_THREADS: Final = 2
"""Threads that remove; threads in stalled calls do not count. Arbitrary: they wait for a file system, and compete with
jobs for it, so ten times more only load it; with one, a large directory delays all others."""
_TIMEOUT: Final = 30.0
"""Seconds without a directory removed after which, at the end of a run, the others are left. Arbitrary: ten times
longer, the program seems to hang; ten times shorter, a directory with a million files is left in part."""


@attrs.frozen
class _Removal:
    """A directory that is removed."""

    odir: str
    is_renamed: bool = False
    """Whether all that is left of it, if anything is, has the other name."""


class RemovalRecords(Protocol):
    """Where intents go: the journal of a run."""

    async def record_removal(self, ids: Sequence[str]) -> bool:
        """Record that the directories of these jobs are about to be removed; return whether that is written."""
        ...


class Removals:
    """The removals of one run. Made in the event loop.

    Args:
        jobs: of the run.
        odirs: id to output directory, of the jobs whose directory goes when they have passed.
        roots: of the run.
        journal: takes the intents.
        before: ids of the jobs that are kept, and whose directories an earlier segment has removed, or was about to.
        begun: ids of all jobs whose directories an earlier segment has removed, or was about to, to the path of each
            that is still there as it was.
    """

    def __init__(
        self,
        jobs: Sequence[JobSpec],
        odirs: Mapping[str, str],
        roots: Roots,
        journal: RemovalRecords,
        *,
        before: Collection[str] = (),
        begun: Mapping[str, str | None] = _NOTHING,
    ) -> None:
        self._roots = roots
        self._journal = journal
        self._jobs = {job.id: job for job in jobs if job.id in odirs}
        self._odirs = odirs
        self._settled = Settled({job.id: job.dependencies for job in jobs} if odirs else {})
        self._before = before
        self._begun = begun
        self.removed: Final[set[str]] = set()
        """Ids of the jobs whose directories are gone, or about to go."""
        self._seen: set[str] = set()
        """Ids of the jobs that have passed."""
        self._due: list[str] = []
        """Ids of settled jobs whose directories are still there."""
        self._limiter = trio.CapacityLimiter(_THREADS)
        self._changed = trio.Event()
        self._ending = trio.Event()
        """Set by `finish`."""
        self._ended = trio.Event()
        self._done = 0
        """How many removals have returned."""
        self._has_failed = False

    def goes(self, job_id: str) -> bool:
        """Whether the directory of a job goes when it has passed, now or later."""
        return job_id in self._odirs

    def see(self, change: StatusChange[JobSpec]) -> None:
        """Note a change of a job's status."""
        if change.new is PASSED and change.event is not None:
            self._passed(change.event)

    def _passed(self, event: JobCompletionEvent) -> None:
        job_id = event.job_id
        if not self._odirs or job_id in self._seen:
            return
        self._seen.add(job_id)
        if job_id in self._jobs and (job_id in self._before or not self._is_own(event)):
            self._jobs.pop(job_id)  # it counts as passed, and its directory stays, or is gone
            if job_id in self._before:
                self.removed.add(job_id)
        due = [settled for settled in self._settled.passed(job_id) if settled in self._jobs]
        if due:
            self._due += due
            self._changed.set()

    def _is_own(self, event: JobCompletionEvent) -> bool:
        """Whether the directory of a job that passed is where it was to be, and has no file of a failed attempt."""
        if event.odir != self._odirs[event.job_id]:
            return False  # a launcher's own choice, or that of another run
        if event.attempt > 1 and not renames_odir(self._jobs[event.job_id]):
            return False
        return all(each.odir is not None and each.odir != event.odir for each in event.earlier)

    async def finish_begun(self) -> None:
        """Remove what an earlier segment has begun to remove, before any job can use the paths again."""
        # Only where today's job files put it: a job may have written to the journal, which says where it was.
        begun = [
            _Removal(odir, is_renamed=odir != self._begun[job_id])
            for job_id, odir in self._odirs.items()
            if job_id in self._begun
        ]
        if begun:
            async with trio.open_nursery() as stalled:
                await self._remove(begun, stalled)

    async def run(self) -> None:
        """Remove what is due, until `finish` is called."""
        try:
            async with trio.open_nursery() as stalled:  # it ends when all that was stalled has returned, too
                while self._due or not self._ending.is_set():
                    await self._changed.wait()
                    self._changed = trio.Event()
                    due, self._due = self._due, []
                    if due and await self._journal.record_removal(due):
                        self.removed.update(due)
                        await self._remove([_Removal(self._odirs[job_id]) for job_id in due], stalled)
                    with trio.move_on_after(_INTERVAL):
                        await self._ending.wait()
        finally:
            self._ended.set()

    async def finish(self, events: Iterable[JobCompletionEvent]) -> None:
        """Remove what is still to be removed, as far as file systems answer.

        Args:
            events: of all jobs that have ended: changes of some may have been dropped.
        """
        for event in events:
            if event.status is PASSED:
                self._passed(event)
        self._ending.set()
        self._changed.set()
        done = -1
        while done < self._done and not self._ended.is_set():
            done = self._done
            with trio.move_on_after(_TIMEOUT):
                await self._ended.wait()
        if not self._ended.is_set():
            logger.warning("output directories of jobs that passed are left, as their removal takes too long")

    async def _remove(self, removals: Sequence[_Removal], stalled: trio.Nursery) -> None:
        work = Work(self._remove_one, removals, paths=lambda removal: [self._path(removal).real])
        await each_in_thread(work, limiter=self._limiter, nursery=stalled, done=self._note)

    def _remove_one(self, removal: _Removal) -> OSError | None:
        """Remove a directory; return the error, if it cannot be removed. Blocks."""
        path = self._path(removal)
        renamed = path.with_name(f"{path.name}{REMOVED_ENDING}")
        try:
            if not removal.is_renamed and path.exists():
                renamed.remove()  # if it is there, it is of an earlier removal that failed
                path.rename(renamed.name)
            renamed.remove()
        except OSError as exc:
            return exc
        return None

    def _path(self, removal: _Removal) -> RootedPath:
        path = self._roots.find(removal.odir)
        assert path is not None  # it is below the run directory
        return path

    def _note(self, results: Sequence[tuple[_Removal, OSError | None]]) -> None:
        """Count removals that have returned; tell of the first one that failed."""
        self._done += len(results)
        errors = [(removal.odir, error) for removal, error in results if error is not None]
        if errors and not self._has_failed:
            self._has_failed = True
            odir, error = errors[0]
            logger.warning(
                "%s, of a job that passed, cannot be removed: %s; others are not told of", odir, error.strerror
            )
