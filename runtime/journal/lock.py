"""`JournalLock`: at most one process writes the journal of a run.

The file ``journal.lock`` in the run directory names the process that writes: host, boot id, pid, and when that process
was started, which tells it from a later one with the same pid. In addition, the file is locked (``flock``) while the
writer lives: the kernel gives that lock to one of two processes that start together, and takes it back when its process
dies, however that happens. So nobody has to remove a lock after a SIGKILL or a reboot.

============================================  ====================================================
the file                                      the result
============================================  ====================================================
is not there                                  taken
names a process that has ended, or a zombie   taken
names a process of an earlier boot            taken
is empty, or cannot be understood             taken: its writer was killed while it wrote
names a process that lives on this host       refused
is locked by another process, whatever it is  refused: that one has just taken it, or a child of a
                                              dead writer has inherited it
names a process of another host               refused: from here it cannot be seen whether it lives
is no regular file of ours                    refused: only a job or a person can have put it there
============================================  ====================================================

``flock`` alone is not enough, because some network file systems do not have it, or only within a host. The content
alone is not enough, because two processes could read it at the same time.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import attrs

from runtime.errors import JournalLockedError
from runtime.job.shorten import shorten
from runtime.process.guard.procfs import EXITED, read_entry
from runtime.rooted import write_all
from runtime.roots import RootedPath

logger: Final = logging.getLogger("runtime.journal")

LOCK_NAME: Final = "journal.lock"
"""The name of the lock in its run directory."""

_MODE: Final = 0o600
_MAX_CONTENT: Final = 4096
"""Bytes of the file that are read. Ours has about 150; more is not ours."""

_MAX_HOST: Final = 64
"""Characters of a host's name in a message: the longest that Linux allows."""

_NOT_OURS: Final = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EINVAL, errno.EMLINK)
"""Errors of opening what is no regular file of ours: a symbolic link, a directory, a socket, a FIFO, a hard link."""


@attrs.frozen
class Holder:
    """A process that writes a journal."""

    host: str
    """The name of its host."""
    boot: str
    """The id of the boot of that host; ``''`` if the system has none."""
    pid: int
    start: int
    """When it was started, in clock ticks after boot; 0 if that is not known."""

    def to_content(self) -> bytes:
        """Return what the file contains."""
        return json.dumps(attrs.asdict(self)).encode() + b"\n"

    @classmethod
    def from_content(cls, content: bytes) -> Holder | None:
        """Return the holder that `content` names; `None` if it is not what `to_content` returns."""
        try:
            host, boot, pid, start = (json.loads(content)[name] for name in ("host", "boot", "pid", "start"))
        except (ValueError, TypeError, LookupError, RecursionError):  # a job can write anything
            return None
        ok = type(host) is type(boot) is str and type(pid) is type(start) is int and 0 < pid < 1 << 31
        return cls(host, boot, pid, start) if ok else None

    @classmethod
    def this_process(cls) -> Holder:
        """Return this process as a holder."""
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                boot = file.read().strip()
        except OSError:
            boot = ""
        return cls(socket.gethostname(), boot, os.getpid(), start_of(os.getpid()) or 0)


def start_of(pid: int) -> int | None:
    """Return when a process was started, in clock ticks after boot; `None` if none that lives has this pid."""
    found = read_entry(pid)
    return None if found is None or found.state in EXITED else int(found.start)


def may_live(holder: Holder, here: Holder, start_of: Callable[[int], int | None] = start_of) -> bool:
    """Whether a holder lives, or may live because it is on another host.

    Args:
        holder: the process.
        here: this process.
        start_of: as the function of that name.
    """
    if holder.boot != here.boot:
        return holder.host != here.host
    # The same boot is the same machine, even if its name has changed. Without boot ids, the name has to do.
    return (not here.boot and holder.host != here.host) or start_of(holder.pid) == holder.start


def holder_of(directory: RootedPath) -> Holder | None:
    """Return the process that writes the journal in a run directory, or that may do so on another host. Blocks.

    For lists of runs: a process that is to write takes the lock. `None` also if the file cannot be read.
    """
    try:
        found = Holder.from_content(directory.below(LOCK_NAME).read(_MAX_CONTENT))
    except OSError:
        return None
    return found if found is not None and may_live(found, Holder.this_process()) else None


class JournalLock:
    """The lock of a run directory, taken: a context that releases it. Made by `acquire`."""

    def __init__(self, path: RootedPath, fd: int) -> None:
        self._path = path
        self._fd = fd
        _held.add(self)

    def __repr__(self) -> str:
        return f"<JournalLock {str(self._path)!r}{' released' if self._fd < 0 else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Remove the file, and give the lock to the next. Blocks. Idempotent.

        A file that cannot be removed stays, with a warning: the next process takes the lock nevertheless.
        """
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            if _is_at(fd, self._path):
                self._path.unlink(missing_ok=True)
        except OSError as exc:
            logger.warning("%s stays, and is in nobody's way: %s", self._path, exc.strerror)
        finally:
            os.close(fd)

    def forget(self) -> None:
        """Close the descriptor that a forked child has inherited. The lock stays with its process."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


_held: Final[weakref.WeakSet[JournalLock]] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


# A launcher may fork without executing a program (`multiprocessing`). Such a child must not hold the lock of a parent
# that was killed: the run could not be resumed until somebody has found and ended it.
os.register_at_fork(after_in_child=_forget_all)


_TIMEOUT: Final = 1.0
"""Seconds for which `acquire` tries again while a process that cannot be seen has locked the file. Arbitrary: a child
that a killed process has just forked has it open until it executes its program, and a process that has just taken the
lock has still to write its name; both take milliseconds. Ten times longer looks like a hang; ten times shorter refuses
on a busy machine what is free."""
_INTERVAL: Final = 0.01
"""Seconds between two attempts. Arbitrary: each is a few system calls."""


def acquire(directory: RootedPath, *, timeout: float = _TIMEOUT) -> JournalLock:
    """Take the lock of a run directory. Blocks, but does not wait for another process that is seen to live.

    Args:
        directory: the run directory.
        timeout: seconds for which it is tried again while a process that cannot be seen has locked the file.

    Raises:
        JournalLockedError: if another process holds it, or may do so; the message says which, and what to do.
        OSError: if the file cannot be made or written.
    """
    path, here = directory.below(LOCK_NAME), Holder.this_process()
    limit = time.monotonic() + timeout
    while True:
        try:
            fd = path.open_to_append(_MODE)
        except OSError as exc:
            if exc.errno not in _NOT_OURS:
                raise
            msg = f"{path} is no file that the runtime has made ({exc.strerror}); remove it, and start again"
            raise JournalLockedError(msg) from exc
        lock: JournalLock | None = None
        try:
            if not _is_free(fd, path, here, may_wait=time.monotonic() < limit):
                time.sleep(_INTERVAL)
            # A process that released the lock meanwhile has removed this file, and the next has made another.
            elif _is_at(fd, path):
                _name_holder(fd, path, here)
                lock = JournalLock(path, fd)
        finally:
            # Here alone, so once: a Ctrl-C may be raised at any line, and the number be that of another file by then.
            if lock is None:
                os.close(fd)
        if lock is not None:
            return lock


def _name_holder(fd: int, path: RootedPath, here: Holder) -> None:
    """Write the name of this process. If the disk is full, the file is removed, so that no half of a name is left."""
    try:
        os.ftruncate(fd, 0)
        write_all(fd, here.to_content())
    except OSError:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def _is_free(fd: int, path: RootedPath, here: Holder, *, may_wait: bool) -> bool:
    """Lock the opened file. Return false if it may soon be free; raise `JournalLockedError` if somebody else has it."""
    locked_by_another = False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        locked_by_another = True
    except OSError:
        pass  # the file system has no locks: the content has to do
    holder = Holder.from_content(os.pread(fd, _MAX_CONTENT, 0))
    is_held = holder is not None and may_live(holder, here)
    if locked_by_another and not is_held and may_wait:
        return False
    reason = _why_not(holder, here, path, locked_by_another=locked_by_another)
    if reason is not None:
        raise JournalLockedError(f"{path.parent} is in use: {reason}")
    return True


def _why_not(holder: Holder | None, here: Holder, path: RootedPath, *, locked_by_another: bool) -> str | None:
    """Return why the lock is not free, and what to do; `None` if it is free."""
    if holder is not None and may_live(holder, here):
        if holder == here:
            return "this process runs it already"
        if holder.boot == here.boot:
            return f"process {holder.pid} of this host runs it; wait for its end, or end it"
        # Its name is what a job may have written.
        host = shorten(ascii(holder.host), _MAX_HOST)
        if locked_by_another:
            return f"process {holder.pid} of the host {host} runs it; wait for its end, or end it"
        return (
            f"process {holder.pid} of the host {host} runs it, or has done so until that host failed, which cannot be "
            f"seen from here; make sure that it has ended, then remove {path}"
        )
    if locked_by_another:
        return f"another process has just begun to run it, or is left of a run that was killed; fuser {path} names it"
    return None


def _is_at(fd: int, path: RootedPath) -> bool:
    """Whether the opened file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(fd), path.status())
    except FileNotFoundError:
        return False
