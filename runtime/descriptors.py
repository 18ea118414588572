"""`Descriptor`: a file descriptor that is closed when no call uses it any more.

A thread that is stuck in a file system is abandoned. It may return much later, in the middle of several calls with one
descriptor. If that had been closed meanwhile, its number could belong to another file, and the remaining calls would
change that file.
"""

from __future__ import annotations

import errno
import os
import threading


class Descriptor:
    """A file descriptor; a ``with`` block for each use gives its number. Its methods may be called from any thread.

    Args:
        fd: the descriptor, which this object owns and closes.
    """

    __slots__ = ("_closed", "_fd", "_lock", "_users")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Descriptor {self._fd}{' closed' if self._closed else ''}, {self._users} users>"

    @property
    def fd(self) -> int:
        """Its number, or -1 once it was closed. For a single call during which it cannot be closed."""
        return -1 if self._closed else self._fd

    def __enter__(self) -> int:
        """Return its number, which stays open until the end of the block.

        Raises:
            OSError: with `errno.EBADF`, if it was closed.
        """
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._users += 1
        return self._fd

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            unused = self._closed and not self._users
        # Outside of the lock: closing may block on a network file system. Only one thread comes here with `unused`.
        if unused:
            os.close(self._fd)

    def close(self) -> None:
        """Refuse new uses, and close it when the last one has ended, which may be now. Idempotent."""
        with self._lock:
            unused = not (self._closed or self._users)
            self._closed = True
        if unused:
            os.close(self._fd)
