"""`MemoryCgroups`: gives each job that has a ceiling a memory cgroup of its own, in which the kernel enforces it.

With version 1 of cgroups, which needs root or a directory that root has given away, the cgroups of jobs are below that
of this process, so that its own limits hold for them as well. With version 2 a cgroup has either processes or others
with controllers below it. So they are beside that of this process: below the nearest parent that hands the memory
controller on, and in which this user may move processes. The user's part of systemd is such a parent (a desktop, or
``systemd-run --user --scope``), and so is a service with ``Delegate=memory`` and a ``DelegateSubgroup``.

Whether a place will do is tried out, not derived: a process moves into a cgroup that is made there, and out again.

The cgroups of a backend are in one directory, and removed when their jobs end. If this process is killed, they stay
behind, without processes. The next one that makes such a directory in the same place removes them: the lock on a
directory, which ends with its process, says whether it is in use.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import attrs

from runtime.process.cgroups import MOUNTED, PROC, hierarchies
from runtime.process.memory_use import MemoryUse

_PREFIX: Final = "job-runtime-"
"""How the names of our directories begin."""

_TRIAL: Final = 'echo 0 >>"$0" && echo 0 >>"$1"'
_TRIAL_TIMEOUT: Final = 10.0
"""Seconds that the trial may take, which takes milliseconds. Arbitrary: ten times longer delays the first job on a
system that hangs; ten times shorter gives up on a busy one."""
_TRIAL_LIMIT: Final = 1 << 30

CgroupEntry = tuple[bytes, bytes]
"""The files in which a process writes ``0`` to enter a cgroup, and to leave it for where it was."""


@attrs.frozen
class _Version:
    """The files of a cgroup, which differ between the versions."""

    number: int
    limit: str
    others: Sequence[tuple[str, str]]
    """Files that need not exist, with what is written to them; ``{limit}`` stands for the bytes."""
    members: str
    """Lists processes, or threads; one that is written to it moves."""
    peak: str
    events: str
    """Counts the processes that were killed, as ``oom_kill``."""


_FIRST: Final = _Version(
    1,
    "memory.limit_in_bytes",
    # With swap, if that is counted; and killed is what is above, also if the parent only lets such processes wait.
    (("memory.memsw.limit_in_bytes", "{limit}"), ("memory.oom_control", "0")),
    "tasks",
    "memory.max_usage_in_bytes",
    "memory.oom_control",
)
_SECOND: Final = _Version(
    2,
    "memory.max",
    (("memory.swap.max", "0"), ("memory.oom.group", "1")),
    "cgroup.procs",
    "memory.peak",
    "memory.events",
)


class NoCgroupsError(Exception):
    """No cgroups for jobs can be made here; the message tells why."""


@attrs.define(eq=False)
class JobCgroup:
    """The memory cgroup of one job."""

    limit: int
    """Bytes that its processes may use."""
    entry: CgroupEntry
    """How a process enters it."""
    _directory: Path
    _version: _Version
    _removed: bool = False

    def use(self) -> MemoryUse:
        """Return what its processes have used. Blocks shortly."""
        peak, kills = None, 0
        with suppress(OSError, ValueError):
            peak = int((self._directory / self._version.peak).read_text())
        with suppress(OSError, ValueError):
            for line in (self._directory / self._version.events).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    kills = int(value)
        return MemoryUse(self.limit, None if peak is None else min(peak, self.limit), kills > 0)

    def remove(self) -> None:
        """Remove it, if no process is left in it; `MemoryCgroups.close` tries again. Blocks shortly. Idempotent."""
        if not self._removed:
            self._removed = _remove(self._directory)


class MemoryCgroups:
    """The memory cgroups of a backend's jobs. Made by `open`."""

    def __init__(self, directory: Path, version: _Version, home: Path, lock: int) -> None:
        self.directory: Final = directory
        """Where they are."""
        self.version: Final = version.number
        """Of cgroups: 1 or 2."""
        self._version = version
        self._leave = os.fsencode(home / version.members)
        self._lock = lock
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"<MemoryCgroups {self.directory}, version {self.version}>"

    @classmethod
    def open(cls, proc: Path = PROC, mounted: Path = MOUNTED) -> Self:
        """Find a place for cgroups, and make a directory there. Blocks: it starts a process.

        Args:
            proc: where ``/proc`` is mounted.
            mounted: where cgroups are mounted.

        Raises:
            NoCgroupsError: if there is none.
        """
        why = "the system has no memory cgroups"
        for version, parent, home in _places(proc, mounted):
            try:
                return cls._open_in(parent, version, home)
            except OSError as exc:
                why = f"{exc.strerror or exc}: {exc.filename or parent}"
        raise NoCgroupsError(why)

    @classmethod
    def _open_in(cls, parent: Path, version: _Version, home: Path) -> Self:
        directory, lock = _make_locked(parent)
        made = cls(directory, version, home, lock)
        try:
            _remove_leftovers(parent, directory)
            if version is _SECOND:
                (directory / "cgroup.subtree_control").write_text("+memory")
            trial = made.make(_TRIAL_LIMIT)
            try:
                _try_out(trial.entry)
            finally:
                trial.remove()
        except BaseException:
            made.close()
            raise
        return made

    def make(self, limit: int) -> JobCgroup:
        """Return a new cgroup in which processes may use `limit` bytes. Blocks shortly.

        Raises:
            OSError: if it cannot be made.
        """
        version = self._version
        directory = self.directory / f"job-{next(self._numbers)}"
        directory.mkdir()
        try:
            (directory / version.limit).write_text(str(limit))
            for name, text in version.others:
                with suppress(OSError):
                    (directory / name).write_text(text.format(limit=limit))
        except BaseException:
            _remove(directory)
            raise
        return JobCgroup(limit, (os.fsencode(directory / version.members), self._leave), directory, version)

    def close(self) -> None:
        """Remove all that have no processes left. Blocks shortly."""
        _remove_all(self.directory)
        os.close(self._lock)


def _places(proc: Path, mounted: Path) -> Iterator[tuple[_Version, Path, Path]]:
    """Yield the places where cgroups for jobs may be: the version, the parent, and the cgroup of this process."""
    for directories in hierarchies("memory", proc, mounted):
        home = next((each for each in directories if _has(each / "cgroup.procs", str(os.getpid()))), None)
        if home is None:
            continue
        if (home / _FIRST.limit).exists():
            yield _FIRST, home, home
        for parent in (home, *home.parents):  # the cgroup itself, if it is the root of all
            if parent.is_relative_to(mounted) and _has(parent / "cgroup.subtree_control", "memory"):
                yield _SECOND, parent, home


def _has(file: Path, word: str) -> bool:
    with suppress(OSError):
        return word in file.read_text().split()
    return False


def _try_out(entry: CgroupEntry) -> None:
    """Let a process enter a cgroup and leave it.

    Raises:
        OSError: if it may not, or does not end in time.
    """
    words = ["/bin/sh", "-c", _TRIAL, *map(os.fsdecode, entry)]
    try:
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TRIAL_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as exc:
        raise OSError(f"no process enters a cgroup within {_TRIAL_TIMEOUT:g} s") from exc
    if done.returncode != 0:
        raise OSError(f"no process can be moved there: {done.stderr.decode(errors='replace').strip()}")


# ---------------------------------------------------------------------- directories


def _make_locked(parent: Path) -> tuple[Path, int]:
    """Return a new directory of ours, and a descriptor that holds its lock."""
    for number in itertools.count(1):
        directory = parent / f"{_PREFIX}{os.getpid()}-{number}"
        with suppress(FileExistsError):
            directory.mkdir()
            with suppress(FileNotFoundError):  # somebody took it for a leftover before it was locked
                lock = _lock(directory)
                if lock is not None:
                    if directory.exists():
                        return directory, lock
                    os.close(lock)
    raise AssertionError


def _lock(directory: Path) -> int | None:
    """Return a descriptor that holds the lock of a directory; `None` if another process holds it."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _remove_leftovers(parent: Path, ours: Path) -> None:
    """Remove the directories of processes that were killed."""
    for directory in parent.glob(f"{_PREFIX}*"):
        if directory != ours:
            with suppress(OSError):  # it is gone, or that of another user
                lock = _lock(directory)
                if lock is not None:
                    _remove_all(directory)
                    os.close(lock)


def _remove_all(directory: Path) -> None:
    """Remove a directory of ours, with those cgroups in it that have no processes."""
    for each in _directories_in(directory):
        _remove(each)
    _remove(directory)


def _remove(directory: Path) -> bool:
    """Remove a cgroup; return whether it is gone. False if processes are left in it.

    A job may have made others below it, such as a runtime that was killed.
    """
    if _rmdir(directory):
        return True
    found = [directory]
    for each in found:  # which grows; not recursive, as a job says how deep they are
        found += _directories_in(each)
    is_gone = False
    for each in reversed(found):
        is_gone = _rmdir(each)
    return is_gone


def _rmdir(directory: Path) -> bool:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _directories_in(directory: Path) -> list[Path]:
    with suppress(OSError), os.scandir(directory) as entries:
        return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    return []
