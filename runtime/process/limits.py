"""Is there room for so many jobs? What the system has and allows, read once, when a backend opens.

Whoever is told beforehand what is short can do something about it; later it only shows as jobs that are refused as
busy.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from runtime.process.cgroups import MOUNTED, PROC, cpu_quota, pids_left

SPARE: Final = 64
"""Open files and processes that are needed besides those for jobs, at a guess."""


def usable_cpus(proc: Path = PROC, cgroups: Path = MOUNTED) -> int:
    """Return how many CPUs this process may use: by its affinity and the quota of its cgroups, rounded up."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(proc, cgroups)
    return cpus if quota is None else min(cpus, math.ceil(quota))


@attrs.frozen
class Room:
    """What may be used. `None` where there is no limit, or none that is known."""

    files: int | None = None
    """Open files of one process."""
    processes: int | None = None
    """Processes that may be added."""
    memory: int | None = None
    """Bytes."""

    @classmethod
    def here(cls) -> Room:
        """Look what there is. Blocks, shortly."""
        import resource  # not there on every system that may import this module

        def soft(which: int) -> int | None:
            limit = resource.getrlimit(which)[0]
            return None if limit == resource.RLIM_INFINITY else limit

        # Root may have as many as it likes, but for its cgroup.
        mine = soft(resource.RLIMIT_NPROC) if os.geteuid() else None
        processes = [limit for limit in (mine, pids_left()) if limit is not None]
        return cls(soft(resource.RLIMIT_NOFILE), min(processes, default=None), available_memory())


def shortages(room: Room, jobs: int, *, processes: int, memory: int) -> Sequence[str]:
    """Return what is short for `jobs` at once, one text each, with what to do about it.

    Args:
        room: what there is.
        jobs: how many; each needs one open file of ours.
        processes: how many of them each needs.
        memory: how many bytes each needs, besides what it uses itself.
    """
    found = []
    files = jobs + SPARE
    if room.files is not None and room.files < files:
        found.append(f"{files} open files, and {room.files} are allowed (say `ulimit -n {files}`)")
    wanted = jobs * processes + SPARE
    if room.processes is not None and room.processes < wanted:
        found.append(f"{wanted} processes, and {room.processes} are allowed (`ulimit -u`, or pids.max of the cgroup)")
    if room.memory is not None and room.memory < jobs * memory:
        found.append(f"{jobs * memory >> 20} MiB of memory for what guards them, and {room.memory >> 20} are available")
    return found


def available_memory(proc: Path = PROC) -> int | None:
    """Return how many bytes the system could give now."""
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
