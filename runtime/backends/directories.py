"""Where a job's files are, and making them: its directory (an old one put aside), its log, the dump of its environment.

All of it blocks: for threads.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from typing import Final

import attrs

from runtime.job import JobSpec, safe_id

ENVIRONMENT_FILE: Final = "env_vars"
"""The name of the environment's dump, beside the log."""


@attrs.frozen
class Places:
    """The paths of one job, all of them absolute."""

    odir: str
    log: str
    cwd: str

    @classmethod
    def of(cls, spec: JobSpec, run_dir: str) -> Places:
        """Return the places of `spec` in a run."""
        odir = os.path.abspath(spec.odir) if spec.odir is not None else f"{run_dir}/{safe_id(spec.id)}"
        log = os.path.abspath(spec.log_path) if spec.log_path is not None else f"{odir}/job.log"
        return cls(odir, log, os.path.abspath(spec.cwd) if spec.cwd is not None else odir)


def make_directory(path: str) -> None:
    """Make a directory and its parents, unless it is there."""
    try:
        os.mkdir(path)  # one call in the usual case
    except OSError:
        os.makedirs(path, exist_ok=True)


def put_aside(path: str, keep: int | None) -> None:
    """Rename the directory `path`, if there is one, to ``path.~1~``, and what has that name to ``path.~2~``, and so on.

    Args:
        path: a directory, or nothing.
        keep: how many such old directories may be left; older ones are deleted. `None`: all of them.
    """
    if not os.path.lexists(path):
        return
    count = 0
    while os.path.lexists(_backup(path, count + 1)):
        count += 1
    if keep is not None:
        for number in range(keep, count + 1):
            _delete(_backup(path, number))
        count = min(count, keep - 1)
    for number in range(count, 0, -1):
        os.rename(_backup(path, number), _backup(path, number + 1))
    os.rename(path, _backup(path, 1))


def _backup(path: str, number: int) -> str:
    return f"{path}.~{number}~"  # a safe id never has a tilde, so this is no other job's directory


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


_CAREFULLY: Final = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How a file is opened that may be anything: a link is none, and nobody waits for the reader of a FIFO."""


def _create(path: str, flags: int, mode: int) -> int | None:
    """Return a descriptor of a new file, for writing; `None` if there is something at `path`.

    The usual case, in one call to the system: what is new is empty, a regular file, and has this mode or less.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | flags, mode)
    except FileExistsError:
        return None


def write_private(path: str, content: bytes) -> None:
    """Write a file that only its owner may read; symbolic links are not followed."""
    fd = _create(path, 0, 0o600)
    if fd is None:
        fd = os.open(path, os.O_WRONLY | _CAREFULLY, 0o600)
        try:
            _check_regular(fd, path)
            os.fchmod(fd, 0o600)
            os.ftruncate(fd, 0)
        except BaseException:
            os.close(fd)
            raise
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
    finally:
        os.close(fd)


def open_log(path: str) -> int:
    """Return a descriptor of an empty log at `path`, for a child to write to.

    Whatever it had in it is gone. It is opened for appending, so that a job may open it a second time without harm.

    Raises:
        OSError: if it cannot be made, or is no regular file; symbolic links are not followed.
    """
    fd = _create(path, os.O_APPEND, 0o666)
    if fd is not None:
        return fd
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | _CAREFULLY, 0o666)
    try:
        _check_regular(fd, path)
        os.ftruncate(fd, 0)
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_regular(fd: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        msg = f"{path!r} is no regular file"
        raise OSError(msg)
