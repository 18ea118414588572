"""`OutputFinder`: what identifies the outputs of jobs, found when they have passed, and again when a run is resumed."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from typing import Final

import attrs

from runtime.job import JobPaths
from runtime.job.status import PASSED
from runtime.journal.completions import paths_in
from runtime.journal.records import Ended, OutputIdentity, Record
from runtime.roots import RootedPath, Roots

_OUTSIDE_TIMEOUT: Final = 1.0
"""Seconds for an output outside of the run directory. Arbitrary: the journal waits meanwhile, so ten times more would
delay those who wait for it; with a tenth, a disk that spins up costs a job its output in the journal, and a resume runs
it again."""


class OutputFinder:
    """Finds outputs below the roots of a run. Its methods block, and raise nothing because of what they find.

    Args:
        roots: of the run; open when a method is called.
    """

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._asks_outside = True
        """False after a file system outside of the run directory did not answer."""

    def complete(self, record: Record) -> Record:
        """Return a record of completions with the outputs of the jobs that passed; any other record as it is.

        It is for the thread of a `JournalWriter`, so that the outputs are in the same frame as the completions. A file
        system that does not answer holds up the journal for a second at most, once, unless it is that of the journal.
        """
        if not isinstance(record, Ended) or PASSED not in record.statuses:
            return record
        outputs = [
            self.find(paths)
            if status is PASSED and (paths := paths_in(record, row, str(self._roots))) is not None
            else None
            for row, status in enumerate(record.statuses)
        ]
        known = [(None, None, None) if output is None else output for output in outputs]
        devices, inodes, sizes = map(list, zip(*known, strict=True))
        return attrs.evolve(record, devices=devices, inodes=inodes, log_sizes=sizes)

    def find(self, paths: JobPaths) -> OutputIdentity | None:
        """Return what identifies the output of a job now; `None` if there is none, or its file system is silent."""
        odir = self._roots.find(paths.odir)
        if odir is not None and odir.root is self._roots.run.root:
            return self._look(paths)
        if not self._asks_outside:
            return None
        found: list[OutputIdentity | None] = []
        # A daemon, because a stalled call must not prevent the exit.
        thread = threading.Thread(target=lambda: found.append(self._look(paths)), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be started
            return None
        thread.join(_OUTSIDE_TIMEOUT)
        if not found:
            self._asks_outside = False
            return None
        return found[0]

    def _look(self, paths: JobPaths) -> OutputIdentity | None:
        try:
            odir = self._roots.resolve(paths.odir).status()
        except (OSError, ValueError):
            return None
        if not stat.S_ISDIR(odir.st_mode):
            return None
        return OutputIdentity(odir.st_dev, odir.st_ino, _size_of(lambda: self._roots.resolve(paths.log)))


def _size_of(path: Callable[[], RootedPath]) -> int | None:
    """Return the size of a regular file; `None` if there is none."""
    try:
        found = path().status()
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
