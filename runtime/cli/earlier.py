"""`Earlier`: a run that there is, opened for a run that goes on with it, or that uses its results."""

from __future__ import annotations

import logging
import os
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final

from runtime.cli.linked_directories import add_origins
from runtime.cli.timed_calls import call_each_with_timeout
from runtime.errors import JournalLockedError, JournalVersionError
from runtime.job import JobSpec
from runtime.job.status import PASSED
from runtime.jobfile.errors import InputError
from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.lock import JournalLock, acquire
from runtime.journal.reader import Journal, read
from runtime.journal.records import Record
from runtime.journal.replay import RunState, replay
from runtime.journal.secret_values import SECRETS_NAME, read_secrets
from runtime.report.buckets import shortest_of_each
from runtime.report.results import rules_of_run
from runtime.report.run_results import known_results
from runtime.roots import Roots

logger: Final = logging.getLogger("runtime.cli")

SELECTED: Final = "selected"
"""The detail of a segment that says whether jobs of the job file were left out."""


class Earlier:
    """The run that is resumed, or parts of which are run again: its directory and what its journal says so far.

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
        if self.run_dir.is_file():
            raise InputError(
                f"RUN is {self.run_dir}, which is no directory; expected a run directory, not an exported run"
            )
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
        add_origins(self.roots, self.state)
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
    def run_dir_then(self) -> Path:
        """Its directory as its jobs know it, whatever way leads there today."""
        found = self.state.segments[-1].begin.details.get("run_dir") if self.has_begun else None
        return Path(found) if isinstance(found, str) and os.path.isabs(found) and "\0" not in found else self.run_dir

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

    def selected(self, jobs: Sequence[JobSpec]) -> set[str] | None:
        """Return the ids of the jobs that the run had, if it never was one of all jobs of its job file; else `None`.

        Args:
            jobs: of today's job file; no other ids are returned.

        Raises:
            InputError: if none of them is among `jobs`.
        """
        segments = self.state.segments
        if not segments or not all(segment.begin.details.get(SELECTED) is True for segment in segments):
            return None
        found = self.state.numbers.keys() & {job.id for job in jobs}
        if not found:
            raise InputError(
                f"the run {self.run_dir.name} had only some jobs of its job file, and none of them is in this one;"
                " expected --select with the jobs that are to run"
            )
        return found

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
        shortest = shortest_of_each(
            (each.result for each in known if each.result is not None and each.job.id in failed),
            rules_of_run(self.state),
        )
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
