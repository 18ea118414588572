"""`OomKills`: has the OOM killer of the kernel killed a process of this cgroup?

Its victim ends by SIGKILL, like a process that a user has killed. The difference is a counter of the memory cgroup, to
which jobs belong as well unless they leave it: ``oom_kill`` in ``memory.events`` (version 2) or ``memory.oom_control``
(version 1). Each kill that is counted there explains one such end. The kernel's log has more, but users cannot read it.
A program that is out of memory because of a limit of its own (``ulimit -v``) reports that itself.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from runtime.process.cgroups import MOUNTED, PROC, hierarchies


class OomKills:
    """OOM kills in the memory cgroup of this process since this object was made.

    Args:
        proc: where ``/proc`` is mounted.
        cgroups: where cgroups are mounted.
    """

    def __init__(self, proc: Path = PROC, cgroups: Path = MOUNTED) -> None:
        self._files = tuple(_counters(proc, cgroups))
        self._explained = self._count()

    def explain_one(self) -> bool:
        """Whether there was a kill that has explained no end so far; then it explains one. Blocks shortly."""
        if self._count() <= self._explained:
            return False
        self._explained += 1
        return True

    def _count(self) -> int:
        found = 0
        for file in self._files:
            with suppress(OSError, ValueError):
                for line in file.read_text().splitlines():
                    name, _, value = line.partition(" ")
                    if name == "oom_kill":
                        found += int(value)
        return found


def _counters(proc: Path, cgroups: Path) -> list[Path]:
    """Return the files with counters: in each hierarchy the innermost that exists."""
    found = []
    for directories in hierarchies("memory", proc, cgroups):
        files = [directory / name for directory in directories for name in ("memory.events", "memory.oom_control")]
        found += [file for file in files if file.is_file()][:1]
    return found
