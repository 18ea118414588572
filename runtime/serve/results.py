"""`Results`: the directory of runs that is served, and what is known of each run in it. Every method blocks.

Its path is resolved once, and the directory is held open. A name that a browser gives is compared with the names that
are there, and never becomes a part of a path otherwise. No symbolic link is followed; `latest` is read, and is no more
than another name of a run in the same directory.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from runtime.errors import JournalVersionError
from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.lock import holder_of
from runtime.journal.replay import RunState
from runtime.journal.run_directory import read_run
from runtime.report.past_paths import paths_of
from runtime.report.run_list import NO_JOURNAL, RunSummary, run_summary
from runtime.roots import Root, RootedPath

LATEST: Final = "latest"
"""The name of the link to the latest run."""
MAX_RUNS: Final = 500
"""Runs that are listed, the newest ones. Arbitrary: a year of nights; ten times more, and the page is slow."""
_LIVE_AGE: Final = 10.0
"""Seconds for which the summary of a run that goes on is shown, before its journal is read again. Arbitrary: reading
that of 100,000 jobs takes seconds of a CPU."""
_LISTING_TIME: Final = 5.0
"""Seconds after which a list of runs is returned although journals are left to be read, which the next call reads.
Arbitrary: ten times longer, and a browser seems to hang."""


@attrs.frozen
class ListedRun:
    """A run in a list."""

    name: str
    summary: RunSummary | None
    """`None` if its journal was not read yet."""


@attrs.frozen
class _Known:
    """The summary of a run, and of which journal."""

    summary: RunSummary
    journal: tuple[int, int, int]
    at: float
    """When its journal was read, on the monotonic clock."""

    def is_current(self, journal: tuple[int, int, int], *, is_held: bool) -> bool:
        """Whether it need not be made again."""
        is_live = self.summary.state == "running"
        if is_live and is_held:
            return time.monotonic() - self.at < _LIVE_AGE
        return self.journal == journal and not is_live


class Results:
    """The directory of runs.

    Args:
        path: the directory. It has to exist.

    Raises:
        OSError: if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = os.path.abspath(path)
        """As the user has given it, but absolute."""
        real = os.path.realpath(self.path)
        root = Root(os.open(real, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), real, 0)
        self._root = RootedPath(root, ".", self.path)
        self._prefixes = tuple({f"{path.rstrip('/')}/" for path in (self.path, real)})
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    @property
    def directory(self) -> RootedPath:
        """The directory, opened."""
        return self._root

    def close(self) -> None:
        """Close the directory. Idempotent."""
        self._root.root.close()

    def find(self, name: str) -> RootedPath | None:
        """Return the directory of the run of this name, which may be `LATEST`; `None` if there is none.

        Raises:
            OSError: if the directory of runs cannot be read.
        """
        names = self._root.names()
        if name == LATEST and name in names:
            name = self._target_of_latest()
        # The name in the list, and not what was asked for: they are equal, and only one of them was ever a file name.
        found = next((each for each in names if each == name), None)
        if found is None:
            return None
        directory = self._root.below(found)
        with suppress(OSError):
            if stat.S_ISDIR(directory.status().st_mode) and directory.below(JOURNAL_NAME).exists():
                return directory
        return None

    def _target_of_latest(self) -> str:
        """Return what the link `LATEST` says; an empty text if it is no link."""
        with self._root.root.descriptor as root:
            try:
                return os.readlink(LATEST, dir_fd=root).rstrip("/")
            except OSError:
                return ""

    def runs(self) -> list[ListedRun]:
        """Return the newest runs, the newest first.

        Raises:
            OSError: if the directory cannot be read.
        """
        with self._lock:  # two lists at a time would read each journal twice
            deadline = time.monotonic() + _LISTING_TIME
            found = []
            for name in sorted(self._directories(), reverse=True):
                listed = self._listed(name, may_read=time.monotonic() < deadline)
                if listed is not None:
                    found.append(listed)
                if len(found) == MAX_RUNS:
                    break
            names = {run.name for run in found}
            for name in [name for name in self._known if name not in names]:
                del self._known[name]
        return sorted(found, key=_age, reverse=True)

    def _directories(self) -> Iterator[str]:
        for name in self._root.names():
            with suppress(OSError):
                if not name.startswith(".") and stat.S_ISDIR(self._root.below(name).status().st_mode):
                    yield name

    def _listed(self, name: str, *, may_read: bool) -> ListedRun | None:
        """Return what is known of a directory; `None` if it is no run."""
        directory = self._root.below(name)
        try:
            status = directory.below(JOURNAL_NAME).status()
        except OSError:
            return None
        is_held = holder_of(directory) is not None
        journal = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._known.get(name)
        if known is None or not known.is_current(journal, is_held=is_held):
            if not may_read:
                return ListedRun(name, None if known is None else known.summary)
            summary = _summary(directory, name, began=status.st_mtime)
            known = self._known[name] = _Known(summary, journal, time.monotonic())
        return ListedRun(name, known.summary)

    def log_of(self, state: RunState, number: int) -> tuple[str, RootedPath | None]:
        """Return the path of the log of a job as it was recorded; and where it is, if that is below this directory.

        A job can write a journal, which could name any file as its log.
        """
        path = os.path.normpath(paths_of(state, number).log)
        for prefix in self._prefixes:
            if path.startswith(prefix):
                return path, self._root.below(path[len(prefix) :])
        return path, None


def _summary(directory: RootedPath, name: str, *, began: float) -> RunSummary:
    try:
        run = read_run(directory)
    except (OSError, JournalVersionError):
        return RunSummary(name=name, state=NO_JOURNAL, began=began)
    return run_summary(name, run.state, is_live=run.is_live, began=began)


def _age(run: ListedRun) -> tuple[float, str]:
    # One that was not read yet is older than those that were, as the newest names are read first.
    return (0.0 if run.summary is None else run.summary.began, run.name)
