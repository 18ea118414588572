"""The run that a command is about: found by what the user wrote, and read from its journal or from an export."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from runtime.cli.past_options import LATEST
from runtime.cli.timed_calls import call_each_with_timeout
from runtime.errors import JournalVersionError
from runtime.jobfile.errors import InputError, shown, suggestion
from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.reader import Journal
from runtime.journal.replay import RunState, replay
from runtime.journal.run_directory import read_run
from runtime.report.archive import ArchiveError, read_archive
from runtime.roots import Root, RootedPath


@attrs.frozen
class PastRun:
    """A run that has ended, has died, or runs in another process."""

    path: Path
    """Its directory, or the file that it was exported to; absolute."""
    is_exported: bool
    state: RunState
    is_live: bool
    """Whether a process runs it."""
    journal: Journal
    """What can be read of its journal."""
    note: str | None = None
    """What is missing at the end of its journal, in a line; `None` if nothing is."""

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.state.run_dir.rpartition("/")[2]

    def number_of(self, job_id: str) -> int:
        """Return the number of a job.

        Raises:
            InputError: if the run has none of this id.
        """
        return number_in(self.state, job_id, self.name)


def number_in(state: RunState, job_id: str, run: str) -> int:
    """Return the number of a job in the state of a run with this name.

    Raises:
        InputError: if the run has none of this id.
    """
    number = state.numbers.get(job_id)
    if number is None:
        near = [each for each in state.numbers if job_id and job_id in each]  # such as all seeds of a test
        hint = suggestion(job_id, near or state.numbers, what="it has")
        raise InputError(f"JOB is {shown(job_id)}, and the run {run} has no such job{hint}")
    return number


def find_run(text: str, out: Path) -> Path:
    """Return the path of a run directory, or of an exported run, as an absolute path.

    Args:
        text: the name of a run in `out`, ``latest`` included; or a path.
        out: the directory of the run directories; absolute.

    Raises:
        InputError: if there is none, or its file system does not answer.
    """
    found: list[Path] = []

    def look(path: str) -> None:
        if os.path.isdir(path) or os.path.isfile(path):
            found.append(Path(_without_last_link(path)))

    if text and "\0" not in text:
        paths = [str(Path(text).absolute())] if "/" in text else [str(out / text), str(Path(text).absolute())]
        call_each_with_timeout(look, paths, what="RUN")
    if not found:
        if text == LATEST:
            raise InputError(f"there is no run in {out}; expected one that job-runtime run has made there (see --out)")
        raise InputError(
            f"RUN is {shown(text)}; expected the name of a run in {out} (job-runtime runs shows them), or the path of a"
            " run directory or of an exported run"
        )
    return found[0]


def _without_last_link(path: str) -> str:
    """Return where a path leads whose last component may be a link, such as ``latest``, to something that exists.

    Links above it stay: specifications have the path of the run directory in them, as it was given then.
    """
    while os.path.islink(path):
        target = os.readlink(path)
        if ".." in target.split("/"):  # where that leads depends on the links above
            return os.path.realpath(path)
        path = os.path.join(os.path.dirname(path), target)
    return path.rstrip("/") or "/"  # an empty path would be the current directory


@contextmanager
def opened(path: Path) -> Iterator[RootedPath]:
    """Open a run directory for a block. It is not made.

    Raises:
        OSError: if it cannot be opened.
    """
    root = Root(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), str(path), 0)
    try:
        yield RootedPath(root, ".", str(path))
    finally:
        root.close()


def load_run(path: Path) -> PastRun:
    """Return the run of a directory, or of an exported run. Blocks.

    Raises:
        InputError: if it is neither, or a newer version of this package wrote it.
    """
    try:
        if path.is_dir():
            with opened(path) as directory:
                return load_directory(directory)
        exported = read_archive(path)
    except (OSError, ArchiveError) as exc:
        raise InputError(f"RUN is {path}: {why_unreadable(exc)}; expected a run directory, or an exported run") from exc
    except JournalVersionError as exc:
        raise InputError(str(exc)) from exc
    state = replay(exported.journal.records, exported.run_dir)
    is_live = exported.is_live and not state.is_complete
    return PastRun(path, True, state, is_live, exported.journal, exported.journal.note)


def load_directory(directory: RootedPath) -> PastRun:
    """Return the run of a directory. Blocks.

    Raises:
        OSError: if it has no journal that can be read.
        JournalVersionError: if a newer version of this package wrote it.
    """
    found = read_run(directory)
    return PastRun(Path(str(directory)), False, found.state, found.is_live, found.journal, found.note)


def why_unreadable(error: OSError | ArchiveError) -> str:
    """Return what is wrong with a run that could not be read, for a message."""
    if isinstance(error, FileNotFoundError) and str(error.filename).endswith(JOURNAL_NAME):
        return "it has no journal"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
