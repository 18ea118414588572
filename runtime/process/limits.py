"""Are there resources for so many jobs? What the system has and allows, read once, when a backend opens.

A user who is warned then can raise a limit. Later, a shortage only shows as jobs that are refused as busy.
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
"""Open files and processes that are needed besides those for jobs. Not measured: ten times more would warn of shortages
that there are not, ten times fewer would miss those of a program that has files of its own."""


def usable_cpus(proc: Path = PROC, cgroups: Path = MOUNTED) -> int:
    """Return how many CPUs this process may use: by its affinity and the quota of its cgroups, rounded up."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(proc, cgroups)
    return cpus if quota is None else min(cpus, math.ceil(quota))


@attrs.frozen
class Resources:
    """The resources that may be used. `None` where there is no limit, or none is known."""

    files: int | None = None
    """Open files of one process."""
    processes: int | None = None
    """Processes that may be added."""
    memory: int | None = None
    """Bytes."""

    @classmethod
    def here(cls) -> Resources:
        """Return those of this process. Blocks shortly."""
        import resource  # not available on every system that can import this module

        def soft(which: int) -> int | None:
            limit = resource.getrlimit(which)[0]
            return None if limit == resource.RLIM_INFINITY else limit

        # RLIMIT_NPROC does not apply to root; a cgroup does.
        mine = soft(resource.RLIMIT_NPROC) if os.geteuid() else None
        processes = [limit for limit in (mine, pids_left()) if limit is not None]
        return cls(soft(resource.RLIMIT_NOFILE), min(processes, default=None), available_memory())


def shortages(resources: Resources, jobs: int, *, processes: int, memory: int) -> Sequence[str]:
    """Return a message for each resource that is short for `jobs` jobs at once, with a way to raise the limit.

    Args:
        resources: the resources that may be used.
        jobs: how many; for each this process has one open file.
        processes: how many processes each job needs.
        memory: bytes that each job needs for its guard.
    """
    found = []
    files = jobs + SPARE
    if resources.files is not None and resources.files < files:
        found.append(f"{files} open files, and {resources.files} are allowed (say `ulimit -n {files}`)")
    needed = jobs * processes + SPARE
    if resources.processes is not None and resources.processes < needed:
        allowed = resources.processes
        found.append(f"{needed} processes, and {allowed} are allowed (`ulimit -u`, or pids.max of the cgroup)")
    if resources.memory is not None and resources.memory < jobs * memory:
        available = resources.memory >> 20
        found.append(f"{jobs * memory >> 20} MiB of memory for their shims, and {available} are available")
    return found


def available_memory(proc: Path = PROC) -> int | None:
    """Return the bytes of memory that the system can still provide (``MemAvailable``); `None` if that is not known."""
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
