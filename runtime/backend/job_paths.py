"""The paths of a job's files, and the functions that make the files: its directory, its log, its environment's dump.

The functions that make files block: call them in threads. All files stay below the roots of the run, also if another
job has planted a symbolic link there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import attrs

from runtime.job import JobPaths, JobSpec, safe_id
from runtime.job.attempts import name_of_earlier, renames_odir
from runtime.job.command import HasCommand, command_words, is_read_by_shell, words_by_file
from runtime.rooted import write_all
from runtime.roots import RootedPath, Roots

ENVIRONMENT_FILE: Final = "env_vars"
"""The name of the dump of the environment, in the directory of the log."""

COMMAND_FILE_ENDING: Final = ".cmd"
"""The suffix that makes the name of a command file, for a `cmd` that is too long, from the name of the log."""

LONGEST_WORD: Final = (1 << 17) - 1
"""The most bytes of one argument of a program: Linux's MAX_ARG_STRLEN, less its NUL, with pages of 4 KiB; systems with
larger pages allow more."""


def usual_odir(job_id: str, run_dir: str) -> str:
    """Return the path of the output directory of a job that names none."""
    return f"{run_dir}/{safe_id(job_id)}"


def job_paths(spec: JobSpec, run_dir: str) -> JobPaths:
    """Return where the files of `spec` are in a run, as absolute paths.

    Raises:
        OSError: if a path of the job is relative, and the current directory was removed.
    """
    odir = os.path.abspath(spec.odir) if spec.odir is not None else usual_odir(spec.id, run_dir)
    log = os.path.abspath(spec.log_path) if spec.log_path is not None else f"{odir}/job.log"
    return JobPaths(odir, log, os.path.abspath(spec.cwd) if spec.cwd is not None else odir)


@attrs.frozen
class RootedJobPaths:
    """The paths of one job, opened below the roots of the run."""

    odir: RootedPath
    log: RootedPath
    log_directory: RootedPath
    """The directory that contains the log: `odir` itself, if it is that."""
    cwd: str
    home: RootedPath | None
    """The working directory, if it is `odir`; else `None`, and the path `cwd` is followed wherever it leads."""

    @classmethod
    def find(cls, paths: JobPaths, roots: Roots) -> RootedJobPaths | None:
        """Return the paths of a job; `None` if a directory has to be resolved first. Does not block."""
        odir = roots.find(paths.odir)
        log = roots.find(paths.log)
        return None if odir is None or log is None else cls._of(paths, odir, log)

    @classmethod
    def resolve(cls, paths: JobPaths, roots: Roots) -> RootedJobPaths:
        """Return the paths of a job. Blocks.

        Raises:
            OSError: if no part of the path of a directory can be opened.
        """
        return cls._of(paths, roots.resolve(paths.odir), roots.resolve(paths.log))

    @classmethod
    def _of(cls, paths: JobPaths, odir: RootedPath, log: RootedPath) -> RootedJobPaths:
        log_directory = odir if log.is_in(odir) else log.parent
        return cls(odir, log, log_directory, paths.cwd, odir if paths.cwd == paths.odir else None)

    def directory_of_log(self, directory: int) -> int | None:
        """Return `directory`, the descriptor of the output directory, if the log is in it; else `None`."""
        return directory if self.log_directory is self.odir else None


def make_files(paths: RootedJobPaths, dump: bytes) -> int:
    """Make a job's directories and the dump of its environment; return a descriptor of its output directory.

    Raises:
        OSError: if one of them cannot be made.
    """
    directory = paths.odir.make_and_open_directory()
    try:
        if paths.log_directory is not paths.odir:
            paths.log_directory.make_directory()
        write_private(paths.log.with_name(ENVIRONMENT_FILE), dump, paths.directory_of_log(directory))
    except BaseException:
        os.close(directory)
        raise
    return directory


def has_long_text(spec: HasCommand) -> bool:
    """Whether the `cmd` of a job is text that is too long for an argument, and so is passed in a file."""
    cmd = spec.cmd
    if not isinstance(cmd, str) or 4 * len(cmd) <= LONGEST_WORD:  # not even with four bytes a character
        return False
    return len(os.fsencode(cmd)) > LONGEST_WORD and is_read_by_shell(spec)


def make_command_file(spec: JobSpec, log: RootedPath) -> None:
    """Write the `cmd` of a job to a private file next to the log, if it is too long for an argument.

    Raises:
        OSError: if the file cannot be written.
    """
    if has_long_text(spec):
        assert isinstance(spec.cmd, str)
        write_private(_command_file(log), os.fsencode(spec.cmd))


def starting_words(spec: JobSpec, log: RootedPath) -> Sequence[str]:
    """Return the words that start a job for which `make_command_file` was called."""
    return words_by_file(spec, str(_command_file(log))) if has_long_text(spec) else command_words(spec)


def _command_file(log: RootedPath) -> RootedPath:
    # Named after the log, because jobs may share a directory (and so a dump of the environment), but never a log.
    return log.with_name(log.name + COMMAND_FILE_ENDING)


def set_aside_earlier(spec: JobSpec, paths: RootedJobPaths, attempt: int) -> None:
    """Rename what the attempt before this one left, as `runtime.job.attempts` says; nothing for the first attempt.

    Raises:
        OSError: if it cannot be renamed.
    """
    if attempt == 1:
        return
    # The log after the directory: if it was in that, it is not found any more.
    for path in (paths.odir, paths.log) if renames_odir(spec) else (paths.log,):
        if path.exists():
            earlier = path.with_name(name_of_earlier(path.name, attempt - 1))
            earlier.remove()  # of an older run, if there is any: a run uses the number of an attempt once
            path.rename(earlier.name)


def rotate_directory(path: RootedPath, keep: int | None) -> None:
    """Rename the directory `path`, if it exists, to ``path.~1~``, an older one from that to ``path.~2~``, and so on.

    Args:
        path: a directory, which need not exist.
        keep: how many old directories are kept; older ones are deleted. `None`: all of them.
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
    for number in range(count, 0, -1):  # from the oldest, so that each new name is free
        _backup(path, number).rename(_backup(path, number + 1).name)
    path.rename(_backup(path, 1).name)


def _backup(path: RootedPath, number: int) -> RootedPath:
    return path.with_name(f"{path.name}.~{number}~")  # a safe id has no tilde, so no other job has this directory


def write_private(path: RootedPath, content: bytes, directory: int | None = None) -> None:
    """Write a file that only its owner may read. `directory` is the descriptor of its directory, if that is known."""
    fd = path.open_empty(0o600, directory=directory)
    try:  # the file may have existed, with another mode
        os.fchmod(fd, 0o600)
        write_all(fd, content)
    finally:
        os.close(fd)


def open_log(path: RootedPath, directory: int | None = None) -> int:
    """Return a descriptor of an empty log at `path`, for a child to write to. An older log is truncated.

    It is opened for appending, so that a job which opens it a second time overwrites nothing. `directory` is the
    descriptor of its directory, if that is known.

    Raises:
        OSError: if it cannot be made, or is not a regular file of this user with one link.
    """
    return path.open_empty(0o666, os.O_APPEND, directory=directory)
