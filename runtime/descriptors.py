"""`Descriptor`: one that is closed when nobody uses it any more.

A thread that is stuck in a file system is left to itself. It may wake up much later, in the middle of several calls
with one descriptor. If that had been closed meanwhile, its number would be another file's, and the rest would be done
to that.
"""

from __future__ import annotations

import errno
import os
import threading


class Descriptor:
    """A descriptor, as a context for each use. Its methods may be called from any thread.

    Args:
        fd: is owned by this from now on.
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
        """Its number; -1, which opens nothing, once it was closed. For a single call while nobody closes it."""
        return -1 if self._closed else self._fd

    def __enter__(self) -> int:
        """Return its number, which is nobody else's until the end of the block.

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
        if unused:
            os.close(self._fd)

    def close(self) -> None:
        """Let nobody begin to use it, and close it now, or when the last one has ended its use. Idempotent."""
        with self._lock:
            unused = not (self._closed or self._users)
            self._closed = True
        if unused:
            os.close(self._fd)
