"""`Ceilings`: what limits the memory of a backend's jobs: cgroups where they can be had, else a watch.

Which of the two is found out when the first job that has a ceiling is launched, and said then; a backend without such
jobs does nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

import attrs

from runtime.process.memory_use import MemoryTable, MemoryUse, WatchedMemory

if TYPE_CHECKING:  # not available on every system
    from runtime.process.memory_cgroups import JobCgroup, MemoryCgroups

logger: Final = logging.getLogger("runtime.backend.local")


@attrs.frozen
class Ceiling:
    """The ceiling of one job: one of the two."""

    cgroup: JobCgroup | None
    watched: WatchedMemory | None = None

    def close(self) -> None:
        """Remove its cgroup, if it has one, and no process is left in that. Blocks shortly. Idempotent."""
        if self.cgroup is not None:
            self.cgroup.remove()

    def use(self, table: MemoryTable | None, root: int, ancestor: int) -> MemoryUse:
        """Return what its processes use. Blocks. Arguments as for `WatchedMemory.use`; a cgroup needs none."""
        if self.cgroup is not None:
            return self.cgroup.use()
        assert self.watched is not None
        assert table is not None
        return self.watched.use(table, root, ancestor)


class Ceilings:
    """Makes the ceilings of jobs.

    Args:
        name: the name of the backend.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._is_known = False
        self._is_closed = False
        self._cgroups: MemoryCgroups | None = None

    def make(self, memory: int, *, contained: bool) -> Ceiling:
        """Return a ceiling of so many bytes for a job that is about to start. Blocks: for threads.

        Args:
            memory: bytes.
            contained: whether a shim starts it.

        Raises:
            OSError: if its cgroup cannot be made, or the backend was closed meanwhile.
        """
        with self._lock:
            if not self._is_known:
                self._cgroups = self._find()
                self._is_known = True
            cgroups = self._cgroups
        # Only after the lock is released: `close` does not wait for it, and leaves the rest to who has it.
        if self._is_closed:  # the launch was abandoned
            self.close()
            raise OSError(errno.ESHUTDOWN, os.strerror(errno.ESHUTDOWN))
        # To begin in a cgroup, a process is started by one that is in it. A thread alone cannot be there with version
        # 2, and this process as a whole must not.
        if cgroups is None or not (contained or cgroups.version == 1):
            return Ceiling(None, WatchedMemory(memory))
        return Ceiling(cgroups.make(memory))

    def close(self) -> None:
        """Remove all cgroups. Blocks shortly."""
        self._is_closed = True
        if self._lock.acquire(blocking=False):  # otherwise a launch that was abandoned has it, and removes them
            try:
                self._remove()
            finally:
                self._lock.release()

    def _remove(self) -> None:
        if self._cgroups is not None:
            self._cgroups.close()
            self._cgroups = None

    def _find(self) -> MemoryCgroups | None:
        from runtime.process.memory_cgroups import MemoryCgroups, NoCgroupsError

        try:
            found = MemoryCgroups.open()
        except NoCgroupsError as exc:
            logger.warning(
                "backend %r watches the memory of its jobs, which may exceed their ceilings for a moment: there are no "
                "cgroups for them: %s",
                self._name,
                exc,
            )
            return None
        logger.info("backend %r limits memory by cgroups of version %d: %s", self._name, found.version, found.directory)
        return found
