"""How much memory do the processes of a job use? `MemoryUse`, and `WatchedMemory`, which finds out without a cgroup.

The sum of the resident sets (RSS) counts what processes share once for each of them: a program of a hundred forks would
seem to use a hundred times as much. PSS divides what is shared among those that share it, but the kernel walks all page
tables for it. So PSS is read only when the sum of RSS is too large. What is swapped out counts in neither. Of PSS, the
pages of mapped files do not count: the kernel drops them when it needs memory, as in a cgroup.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import attrs

from runtime.job.sizes import size_text
from runtime.process.cgroups import PROC

_CLEARLY_BELOW: Final = 0.9
"""The part of its ceiling below which a peak does not explain a kill. Arbitrary: the kernel kills when the peak is the
ceiling, to some hundreds of KiB that each processor takes in advance."""


@attrs.frozen
class MemoryUse:
    """What the processes of a job have used, together."""

    limit: int
    """Bytes that they may use."""
    peak: int | None = None
    """Bytes that they have used, at most; `None` if that is not known."""
    killed: bool = False
    """Whether the kernel has killed one of them because memory ran out."""

    @property
    def is_over(self) -> bool:
        """Whether the job has failed by it."""
        return self.killed or (self.peak is not None and self.peak > self.limit)

    def __str__(self) -> str:
        """Return the message for a job that is over its ceiling."""
        most = f"the {size_text(self.limit)} of memory that it may use (memory)"
        if self.peak is None:
            return f"used more than {most}"
        used = f"used {size_text(self.peak)} of {most}"
        if not self.killed:
            return used
        if self.peak < _CLEARLY_BELOW * self.limit:
            return f"{used}; all the same, the kernel has killed a process of it because memory ran out"
        return f"{used}; the kernel has killed a process of it"


@attrs.frozen
class MemoryTable:
    """The processes of this machine, as far as their memory goes."""

    below: Mapping[int, list[int]]
    """From a process to its children."""
    sessions: Mapping[int, list[int]]
    """From a session to its processes."""
    resident: Mapping[int, int]
    """Bytes of each resident set."""

    @classmethod
    def read(cls, proc: Path = PROC) -> Self:
        """Return the processes that exist now. Blocks."""
        page = os.sysconf("SC_PAGE_SIZE")
        below: dict[int, list[int]] = {}
        sessions: dict[int, list[int]] = {}
        resident: dict[int, int] = {}
        for name in filter(str.isdecimal, os.listdir(proc)):
            with suppress(OSError, ValueError, IndexError):  # it has ended
                with open(f"{proc}/{name}/stat", "rb") as file:
                    # The second field is the program's name in parentheses, and may itself contain parentheses.
                    fields = file.read().rpartition(b")")[2].split(None, 22)
                pid = int(name)
                below.setdefault(int(fields[1]), []).append(pid)
                sessions.setdefault(int(fields[3]), []).append(pid)
                resident[pid] = int(fields[21]) * page
        return cls(below, sessions, resident)

    def of_job(self, root: int, ancestor: int) -> set[int]:
        """Return the processes of a job: those of the session of its root, and all descendants of `ancestor`."""
        found = set(self.sessions.get(root, ()))
        left = [ancestor, *found]
        while left:
            new = [pid for pid in self.below.get(left.pop(), ()) if pid not in found]
            found.update(new)
            left += new
        return found


@attrs.define(eq=False)
class WatchedMemory:
    """The ceiling of a job whose memory is watched."""

    limit: int
    """Bytes."""
    _peak: int = 0

    def use(self, table: MemoryTable, root: int, ancestor: int, proc: Path = PROC) -> MemoryUse:
        """Return what the processes of a job use now, and what was the most when this was called. Blocks.

        Args:
            table: the processes.
            root: the pid of the job's root.
            ancestor: a process whose descendants are all of the job; the root, or one that is no part of it.
            proc: where ``/proc`` is mounted.
        """
        pids = table.of_job(root, ancestor)
        used = sum(table.resident.get(pid, 0) for pid in pids)
        if used > self.limit:
            used = _proportional(pids, table.resident, proc)
        self._peak = max(self._peak, used)
        return MemoryUse(self.limit, self._peak)


def _proportional(pids: Iterable[int], resident: Mapping[int, int], proc: Path) -> int:
    """Return the sum of PSS without mapped files, with the RSS of those processes whose PSS may not be read."""
    found = 0
    for pid in pids:
        try:
            text = (proc / str(pid) / "smaps_rollup").read_bytes()
            kib = {line.partition(b":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
            found += (kib[b"Pss"] - kib.get(b"Pss_File", 0)) << 10  # before Linux 5.9 there is only the sum
        except ProcessLookupError:
            continue  # it has ended
        except FileNotFoundError:  # before Linux 4.14, and others that only look like Linux: none has the file
            found += resident.get(pid, 0) if (proc / str(pid) / "stat").exists() else 0
        except (OSError, ValueError, IndexError, KeyError):
            found += resident.get(pid, 0)
    return found
