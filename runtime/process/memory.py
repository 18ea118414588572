"""`OomKills`: did the kernel kill somebody for want of memory?

A process that it kills ends by SIGKILL, as if anybody had sent that. What tells is a counter of the memory cgroup, ours
and so our jobs' as well, unless they go elsewhere: ``oom_kill`` in ``memory.events`` (version 2) or
``memory.oom_control`` (version 1). Each kill that is counted there explains one such end. The kernel's log would say
more, but is not for users; and a program that gets no memory because of a limit of its own (``ulimit -v``) says so
itself.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from runtime.process.cgroups import MOUNTED, PROC, hierarchies


class OomKills:
    """Kills in the memory cgroup of this process, since this was made.

    Args:
        proc: where the system tells which cgroup that is.
        cgroups: where cgroups are.
    """

    def __init__(self, proc: Path = PROC, cgroups: Path = MOUNTED) -> None:
        self._files = tuple(_counters(proc, cgroups))
        self._explained = self._count()

    def explain_one(self) -> bool:
        """Whether there was a kill that has explained no end so far; it has now. Blocks, shortly."""
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
    """Return the files that count, which can be read: in each hierarchy the innermost."""
    found = []
    for directories in hierarchies("memory", proc, cgroups):
        files = [directory / name for directory in directories for name in ("memory.events", "memory.oom_control")]
        found += [file for file in files if file.is_file()][:1]
    return found
