"""Where a job's files are, and making them: its directory (an old one put aside), its log, the dump of its environment.

What makes them blocks: for threads. All of it is below the roots of the run, whatever other jobs have put there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import attrs

from runtime.job import JobSpec, safe_id
from runtime.job.command import command_words, is_read_by_shell, words_by_file
from runtime.rooted import write_all
from runtime.roots import RootedPath, Roots

ENVIRONMENT_FILE: Final = "env_vars"
"""The name of the environment's dump, beside the log."""

COMMAND_FILE_ENDING: Final = ".cmd"
"""What is added to the name of a log: the file of a `cmd` that is too long."""

LONGEST_WORD: Final = (1 << 17) - 1
"""Bytes of an argument of a program, at most: Linux's, where a page of memory has 4 KiB; elsewhere it is more."""


@attrs.frozen
class JobPaths:
    """The paths of one job, all of them absolute."""

    odir: str
    log: str
    cwd: str

    @classmethod
    def of(cls, spec: JobSpec, run_dir: str) -> JobPaths:
        """Return the places of `spec` in a run."""
        odir = os.path.abspath(spec.odir) if spec.odir is not None else f"{run_dir}/{safe_id(spec.id)}"
        log = os.path.abspath(spec.log_path) if spec.log_path is not None else f"{odir}/job.log"
        return cls(odir, log, os.path.abspath(spec.cwd) if spec.cwd is not None else odir)


@attrs.frozen
class RootedJobPaths:
    """The same, below the roots of the run."""

    odir: RootedPath
    log: RootedPath
    cwd: str
    home: RootedPath | None
    """The directory that it runs in, if that is `odir`. If not, where the path `cwd` leads is the job's own affair."""

    @classmethod
    def find(cls, places: JobPaths, roots: Roots) -> RootedJobPaths | None:
        """Return the paths of a job, unless a directory has to be resolved for that."""
        odir = roots.find(places.odir)
        log = roots.find(places.log)
        if odir is None or log is None:
            return None
        return cls(odir, log, places.cwd, odir if places.cwd == places.odir else None)

    @classmethod
    def resolve(cls, places: JobPaths, roots: Roots) -> RootedJobPaths:
        """Return the paths of a job. Blocks.

        Raises:
            OSError: if nothing of a directory can be opened.
        """
        odir = roots.resolve(places.odir)
        return cls(odir, roots.resolve(places.log), places.cwd, odir if places.cwd == places.odir else None)

    def directory_of_log(self, directory: int) -> int | None:
        """Return the descriptor of the output directory, if the log is in that."""
        return directory if self.log.is_in(self.odir) else None


def make_files(paths: RootedJobPaths, dump: bytes) -> int:
    """Make a job's directories, and the dump of its environment; return a descriptor of its output directory.

    Raises:
        OSError: if that cannot be done.
    """
    directory = paths.odir.make_and_open_directory()
    try:
        if not paths.log.is_in(paths.odir):
            paths.log.parent.make_directory()
        write_private(paths.log.with_name(ENVIRONMENT_FILE), dump, paths.directory_of_log(directory))
    except BaseException:
        os.close(directory)
        raise
    return directory


def has_long_text(spec: JobSpec) -> bool:
    """Whether the `cmd` of a job is text that is too long for an argument, and that goes by a file."""
    cmd = spec.cmd
    if not isinstance(cmd, str) or 4 * len(cmd) <= LONGEST_WORD:  # what four bytes a character could not make too long
        return False
    return len(os.fsencode(cmd)) > LONGEST_WORD and is_read_by_shell(spec)


def make_command_file(spec: JobSpec, log: RootedPath) -> None:
    """Write the `cmd` of a job to a file of its owner's beside the log, if it has to go by one.

    Raises:
        OSError: if that cannot be done.
    """
    if has_long_text(spec):
        assert isinstance(spec.cmd, str)
        write_private(_command_file(log), os.fsencode(spec.cmd))


def starting_words(spec: JobSpec, log: RootedPath) -> Sequence[str]:
    """Return the words that start a job for which `make_command_file` was called."""
    return words_by_file(spec, str(_command_file(log))) if has_long_text(spec) else command_words(spec)


def _command_file(log: RootedPath) -> RootedPath:
    return log.with_name(
        log.name + COMMAND_FILE_ENDING
    )  # no two jobs have one log, while the dump is one for all of a directory


def put_aside(path: RootedPath, keep: int | None) -> None:
    """Rename the directory `path`, if there is one, to ``path.~1~``, and what has that name to ``path.~2~``, and so on.

    Args:
        path: a directory, or nothing.
        keep: how many such old directories may be left; older ones are deleted. `None`: all of them.
    """
    if not path.exists():
        return
    count = 0
    while _backup(path, count + 1).exists():
        count += 1
    if keep is not None:
        for number in range(keep, count + 1):
            _backup(path, number).remove()
        count = min(count, keep - 1)
    for number in range(count, 0, -1):
        _backup(path, number).rename(_backup(path, number + 1).name)
    path.rename(_backup(path, 1).name)


def _backup(path: RootedPath, number: int) -> RootedPath:
    return path.with_name(f"{path.name}.~{number}~")  # a safe id never has a tilde, so this is no other job's directory


def write_private(path: RootedPath, content: bytes, directory: int | None = None) -> None:
    """Write a file that only its owner may read; `directory`, if that is known, is the descriptor of where it is."""
    fd = path.open_empty(0o600, directory=directory)
    try:
        os.fchmod(fd, 0o600)
        write_all(fd, content)
    finally:
        os.close(fd)


def open_log(path: RootedPath, directory: int | None = None) -> int:
    """Return a descriptor of an empty log at `path`, for a child to write to.

    Whatever it had in it is gone. It is opened for appending, so that a job may open it a second time without harm.
    `directory`, if that is known, is the descriptor of where it is.

    Raises:
        OSError: if it cannot be made, or is not a file of ours alone.
    """
    return path.open_empty(0o666, os.O_APPEND, directory=directory)
