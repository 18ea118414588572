"""`Resumption`: what a run that is resumed keeps, and what it runs, found out before anything starts.

::

    the run directory ──► its lock ──► its journal ──► decisions ──► leftovers end ──► the scheduler

The lock comes first: until it is taken, another process may still run the run, and add to its journal. A dry run only
looks, and takes no lock.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from runtime.backend.contract.backend import RuntimeBackend
from runtime.cli.timed_calls import call_each_with_timeout
from runtime.errors import JournalLockedError, JournalVersionError
from runtime.job import JobCompletionEvent, JobSpec
from runtime.job.status import PASSED
from runtime.jobfile.errors import InputError
from runtime.journal.completions import shifted
from runtime.journal.digests import digest
from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.lock import JournalLock, acquire
from runtime.journal.outputs import OutputFinder
from runtime.journal.reader import Journal, read
from runtime.journal.records import Output, Record
from runtime.journal.replay import RunState, replay
from runtime.journal.resume import Decision, JobToResume, decide, first_attempts
from runtime.journal.secret_values import SECRETS_NAME, read_secrets
from runtime.process.environment import HERE_VARIABLE
from runtime.process.guard.procfs import describe
from runtime.process.leftovers import end_leftovers
from runtime.report.buckets import shortest_of_each
from runtime.report.run_results import known_results
from runtime.report.summary import Line, Piece
from runtime.report.text import printable
from runtime.roots import Roots

logger: Final = logging.getLogger("runtime.cli")


def end_what_is_left(token: str) -> None:
    """End the processes that earlier segments of a run have left on this machine. Blocks, for a bounded time.

    Raises:
        InputError: if one cannot be ended.
    """
    left = end_leftovers(HERE_VARIABLE, token)
    if left:
        raise InputError(
            f"{', '.join(describe(left))} of this run cannot be killed, so its jobs cannot be run again; expected to be"
            " able to end all that is left of it, which its file system may prevent"
        )


class Earlier:
    """The segments of a run that come before this one.

    Args:
        run_dir: of the run.
        lock: whether to take the lock, which is needed to add a segment.

    Raises:
        InputError: if the journal cannot be read, or another process runs the run.
    """

    def __init__(self, run_dir: Path, *, lock: bool) -> None:
        self.run_dir: Final = run_dir
        self.roots: Final = Roots(str(run_dir))
        self.lock: JournalLock | None = None
        self.records: Sequence[Record] = ()
        self.state: RunState = RunState()
        call_each_with_timeout(lambda _: self._open(lock=lock), [str(run_dir)], what="the run's directory")

    def _open(self, *, lock: bool) -> None:
        try:
            self.roots.open()
            if lock:
                self._acquire()
            journal = self._read()
        except (JournalLockedError, JournalVersionError) as exc:
            self.close()
            raise InputError(str(exc)) from exc
        except OSError as exc:
            self.close()
            raise InputError(f"{self.run_dir}: its journal cannot be read: {exc.strerror}") from exc
        except InputError:
            self.close()
            raise
        self.records = journal.records
        self.state = replay(journal.records, str(self.run_dir))
        if not self.has_begun:
            why = "it has no record of a run" if journal.note is None else journal.note
            logger.warning("%s: %s; nothing is known of the run", self.run_dir / JOURNAL_NAME, why)
        elif journal.note is not None:
            logger.warning("%s: %s; what came after that is not known", self.run_dir / JOURNAL_NAME, journal.note)

    def _acquire(self) -> None:
        try:
            self.lock = acquire(self.roots.run)
        except OSError as exc:
            raise InputError(f"{self.run_dir}: its lock cannot be written: {exc.strerror}") from exc

    def _read(self) -> Journal:
        run = self.roots.run
        try:
            return read(run.below(JOURNAL_NAME))
        except FileNotFoundError:
            if not run.below(SECRETS_NAME).exists():
                raise
            return Journal([], None, 0)  # it was killed while it found out what it is made of

    @property
    def has_begun(self) -> bool:
        """Whether the journal tells of any segment.

        It does not if the run was killed before its first record was written, which is before any job starts; or if
        that record was damaged, so that nothing behind it can be read.
        """
        return bool(self.state.segments)

    @property
    def token(self) -> str:
        """The run token; `has_begun` must be true."""
        return self.state.segments[-1].begin.token

    @property
    def secrets_key(self) -> str | None:
        """The key of the digests of the run; `None` if it cannot be read. Blocks."""
        try:
            found = read_secrets(self.roots.run)
        except OSError:
            return None
        return found[0].key if found else None

    @property
    def seed_base(self) -> int | None:
        """The seed base of the last segment; `None` if the journal has none."""
        if not self.has_begun:
            return None
        found = self.state.segments[-1].begin.details.get("seed_base")
        return found if isinstance(found, int) else None

    def not_passed(self, jobs: Sequence[JobSpec], *, each_bucket: bool = False) -> set[str]:
        """Return the ids of the jobs that did not pass, whatever their specifications were.

        Args:
            jobs: of today's run. Those that the earlier run had, and that are not among them, are told of in a warning.
            each_bucket: whether of each failure bucket only the shortest job is returned, and none that did not run
                because another one failed, or because the run was stopped.

        Raises:
            InputError: if there is none among `jobs`, or the run has not begun.
        """
        state = self.state
        if not self.has_begun:
            raise InputError(f"{self.run_dir}: its journal has no record of a run; expected a run that has begun")
        failed = {name for name, number in state.numbers.items() if state.statuses[number] is not PASSED}
        found = failed.intersection(job.id for job in jobs)
        if not found:
            what = "all of its jobs passed" if not failed else "none of its jobs that did not pass is in this job file"
            raise InputError(f"nothing is to be run again of the run {self.run_dir.name}: {what}")
        if gone := len(failed) - len(found):
            logger.warning("%d jobs that did not pass in %s are no jobs of this run", gone, self.run_dir.name)
        return self._shortest_of_each_bucket(found) if each_bucket else found

    def _shortest_of_each_bucket(self, failed: Container[str]) -> set[str]:
        known = known_results(self.state, is_live=False)
        shortest = shortest_of_each(each.result for each in known if each.result is not None and each.job.id in failed)
        if not shortest:
            raise InputError(
                f"the run {self.run_dir.name} has no failure bucket: its jobs that did not pass never ran, because they"
                " were stopped, or others failed; expected --rerun, which runs them"
            )
        return shortest

    def close(self) -> None:
        """Release the lock, and close the directory."""
        if self.lock is not None:
            self.lock.release()
        if self.roots.is_open:
            self.roots.close()


@attrs.frozen(kw_only=True)
class Resumption:
    """What becomes of each job of today's run."""

    decisions: Mapping[str, Decision]
    """By id, in the order of the jobs."""
    first_attempts: Mapping[str, int]
    """By id: the number of the first attempt of this segment, if that is not 1. A job of a batch system that is still
    in flight has the number of that attempt, and is adopted."""
    state: RunState
    earlier: Mapping[str, Sequence[JobCompletionEvent]] = attrs.field(factory=dict)
    """By id of a job that runs: the attempts after which it was to be tried again."""

    def to_continue(self, epoch: float) -> Iterator[JobCompletionEvent]:
        """Yield the completions in `earlier`; `epoch` as for `kept`."""
        begun = self.state.segments[-1].begin.epoch
        return (shifted(event, begun - epoch) for events in self.earlier.values() for event in events)

    def kept(self, epoch: float) -> Iterator[JobCompletionEvent]:
        """Yield the completions that are kept.

        Args:
            epoch: the wall time, in seconds since 1970, of second 0 of this process's clock, for the times of all.
        """
        for job_id, decision in self.decisions.items():
            if decision.keep:
                number = self.state.numbers[job_id]
                event, then = self.state.result(number), self.state.epoch(number)
                assert event is not None and then is not None  # noqa: PT018 - a job that is kept has ended
                yield shifted(event, then - epoch)

    def lines(self) -> Iterator[Line]:
        """Yield a line for each job: what becomes of it, and why; then one with their numbers."""
        width = max(map(len, self.decisions), default=0)
        for job_id, decision in self.decisions.items():
            what: Piece = ("keep", "green") if decision.keep else ("run ", "bold")
            yield what, (f"  {printable(job_id):{width}}  {printable(decision.reason)}", "")
        yield ((self.summary(), ""),)

    def summary(self) -> str:
        """Return how many jobs are kept and run."""
        kept = sum(decision.keep for decision in self.decisions.values())
        return f"{kept} kept, {len(self.decisions) - kept} to run"


def plan_resumption(earlier: Earlier, jobs: Sequence[JobSpec], backends: Mapping[str, RuntimeBackend]) -> Resumption:
    """Return what becomes of each job. Blocks.

    Args:
        earlier: what was before.
        jobs: of today's run.
        backends: of today's run, by name.

    Raises:
        InputError: if the file system of an output directory does not answer.
    """
    state = earlier.state
    to_resume = [JobToResume(job.id, digest(job), job.dependencies) for job in jobs]
    outputs = _outputs(earlier, to_resume)
    decisions = decide(state, to_resume, outputs.get)
    outliving = {name for name, backend in backends.items() if backend.jobs_outlive_runtime}
    decisions, attempts = first_attempts(state, to_resume, decisions, outliving)
    attempts_before = {
        job.id: state.earlier(number)
        for job in to_resume
        if not decisions[job.id].keep
        and (number := state.numbers.get(job.id)) is not None
        and state.digests[number] == job.digest
    }
    return Resumption(decisions=decisions, first_attempts=attempts, state=state, earlier=attempts_before)


def _outputs(earlier: Earlier, jobs: Sequence[JobToResume]) -> dict[str, Output | None]:
    """Return what identifies the output of each job that may be kept, as it is now."""
    state, finder = earlier.state, OutputFinder(earlier.roots)
    ids: dict[str, list[str]] = {}
    for job in jobs:
        number = state.numbers.get(job.id)
        if number is None or state.statuses[number] is not PASSED or state.digests[number] != job.digest:
            continue
        event = state.result(number)
        if event is not None and event.paths is not None:
            ids.setdefault(event.paths.odir, []).append(job.id)
    found: dict[str, Output | None] = {}

    def look(odir: str) -> None:
        for job_id in ids[odir]:
            event = state.result(state.numbers[job_id])
            assert event is not None
            assert event.paths is not None
            found[job_id] = finder.find(event.paths)

    call_each_with_timeout(look, ids, what="the output directory")
    return found
