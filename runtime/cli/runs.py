"""The command ``runs``: lists the runs of a directory, and removes old ones."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from runtime import rooted
from runtime.cli.past_runs import load_directory, opened
from runtime.errors import JournalLockedError, JournalVersionError
from runtime.jobfile.errors import InputError
from runtime.journal.lock import acquire
from runtime.report.run_list import NO_JOURNAL, RunSummary, run_line, run_summary, to_prune
from runtime.report.summary import Line
from runtime.report.text import printable
from runtime.roots import RootedPath

logger: Final = logging.getLogger("runtime.cli")

_RUN_NAME: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
"""The names that the command line gives to run directories."""
_REMOVED: Final = ".removed-"
"""The prefix of the name of a run directory while it is removed."""
_BLOCK_SIZE: Final = 512
"""Bytes of the unit of `st_blocks`, whatever the file system is."""


def is_run_name(name: str) -> bool:
    """Whether the command line may have given this name to a run directory."""
    return _RUN_NAME.fullmatch(name) is not None


class Runs:
    """The run directories in a directory. Every method blocks.

    Args:
        out: the directory; absolute. It need not exist.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def summaries(self) -> list[RunSummary]:
        """Return what is known of each run, the oldest first.

        Raises:
            InputError: if the directory cannot be read.
        """
        try:
            names = [entry.name for entry in os.scandir(self._out) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise InputError(f"--out: {self._out} cannot be read: {exc.strerror}; expected a directory") from exc
        found = [summary for name in sorted(names) if (summary := self._summary(name)) is not None]
        return sorted(found, key=lambda run: (run.began, run.name))

    def _summary(self, name: str) -> RunSummary | None:
        """Return what is known of a directory; `None` if it is no run directory."""
        path, began = self._out / name, 0.0
        try:
            began = path.stat().st_mtime
            with opened(path) as directory:
                run = load_directory(directory)
        except (OSError, JournalVersionError) as exc:
            if not is_run_name(name):
                return None
            logger.info("%s: %s", path, exc)
            return RunSummary(name=name, state=NO_JOURNAL, began=began)
        return run_summary(name, run.state, is_live=run.is_live, began=began)

    def lines(self) -> Iterator[Line]:
        """Yield a line for each run, the oldest first."""
        for run in self.summaries():
            size = None
            with suppress(OSError), opened(self._out / run.name) as directory:
                size = disk_usage(directory)
            yield run_line(run, time.time(), size)

    def prune(self, *, keep: int | None, older_than: float | None, dry_run: bool) -> Iterator[Line]:
        """Remove old runs; yield a line for each that is removed, or that stays although it is old.

        Args:
            keep: as for `to_prune`.
            older_than: as for `to_prune`.
            dry_run: whether nothing is removed.

        Raises:
            InputError: if the directory cannot be read.
            OSError: if a run cannot be removed as a whole; it has another name then, and is removed the next time.
        """
        old, reasons = to_prune(self.summaries(), keep=keep, older_than=older_than, now=time.time())
        for name, why in reasons.items():
            yield ((printable(name), "bold"), (f"  stays: {printable(why)}", ""))
        if not dry_run:
            self._remove_left()
        used_by: dict[str, str] = {}
        for run in reversed(old):  # the newest first: if this is killed, no run is left without what it uses
            reason = None
            if not dry_run:
                user = used_by.get(run.name)
                reason = self._remove(run.name) if user is None else f"the run {user} uses its directories"
            if reason is not None:
                used_by |= dict.fromkeys(run.uses, run.name)
            what = f"stays: {reason}" if reason else "would be removed" if dry_run else "removed"
            yield ((printable(run.name), "bold"), (f"  {what}", ""))

    def _remove(self, name: str) -> str | None:
        """Remove a run; return why it stays, if another process has begun to run it."""
        with opened(self._out / name) as directory:
            try:
                lock = acquire(directory)
            except JournalLockedError as exc:
                return printable(str(exc))
            with lock:
                # The lock goes with the directory, so from here on nobody can resume the run: it has another name, at
                # once, and then no content.
                removed = f"{_REMOVED}{name}"
                os.rename(self._out / name, self._out / removed)
        self._remove_directory(removed)
        return None

    def _remove_left(self) -> None:
        """Remove what an earlier call that was killed has left."""
        for entry in os.scandir(self._out):
            if entry.name.startswith(_REMOVED) and entry.is_dir(follow_symlinks=False):
                self._remove_directory(entry.name)

    def _remove_directory(self, name: str) -> None:
        with opened(self._out) as out:
            out.below(name).remove()


def disk_usage(directory: RootedPath) -> int:
    """Return how many bytes a directory takes on disk, as ``du`` does. Blocks.

    No symbolic link is followed. What cannot be read, or is too deep to have a path, does not count.
    """
    total = 0
    waiting = [directory]
    while waiting:  # no recursion: a job can nest directories deeper than Python's stack
        here = waiting.pop()
        with suppress(OSError), here.root.descriptor as root:
            fd = rooted.open_below(root, here.relative, os.O_RDONLY | os.O_DIRECTORY)
            try:
                total += os.fstat(fd).st_blocks * _BLOCK_SIZE
                for name in os.listdir(fd):
                    with suppress(OSError):
                        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                        if stat.S_ISDIR(found.st_mode):
                            waiting.append(here.below(name))
                        else:
                            total += found.st_blocks * _BLOCK_SIZE
            finally:
                os.close(fd)
    return total
