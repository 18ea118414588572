"""Which cgroups does this process belong to, and what do they allow?

A limit applies to the cgroup that has it and to all below it. With version 1 each controller has a hierarchy of its
own; version 2 has one for all. Both may be mounted at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
MOUNTED: Final = Path("/sys/fs/cgroup")
"""Where cgroups are mounted: systemd and every container runtime use this directory."""


def hierarchies(controller: str, proc: Path = PROC, mounted: Path = MOUNTED) -> list[list[Path]]:
    """Return, per hierarchy that may have `controller`, the possible directories of this process's cgroup and parents.

    The cgroup comes first. A directory need not exist: both usual mount points of version 2 are returned, and in a
    container the path may be that of the host, while the container's own cgroup is mounted at the top. The list is
    empty without ``/proc``.
    """
    found = []
    with suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                roots = [mounted, mounted / "unified"]
            elif controller in controllers.split(","):
                roots = list(dict.fromkeys((mounted / controllers, mounted / controller)))
            else:
                continue
            # ".." means a cgroup outside of this cgroup namespace, whose directory is not visible.
            inside = Path("" if ".." in path.split("/") else path.lstrip("/"))
            found.append([root / below for root in roots for below in (inside, *inside.parents)])
    return found


def cpu_quota(proc: Path = PROC, mounted: Path = MOUNTED) -> float | None:
    """Return the CPU time per second that this process may use, in CPUs (may be a fraction); `None` for no limit."""
    quotas = [
        quota
        for directories in hierarchies("cpu", proc, mounted)
        for directory in directories
        for quota in _quotas(directory)
    ]
    return min(quotas, default=None)


def pids_left(proc: Path = PROC, mounted: Path = MOUNTED) -> int | None:
    """Return how many processes may be added to the cgroup of this process; `None` for no limit."""
    left = []
    for directories in hierarchies("pids", proc, mounted):
        for directory in directories:
            with suppress(OSError, ValueError):  # "max", or no such file
                most = int((directory / "pids.max").read_text())
                left.append(most - int((directory / "pids.current").read_text()))
    return min(left, default=None)


def _quotas(directory: Path) -> Iterator[float]:
    """Yield the quota of one cgroup, if it has one. ``max 100000`` (version 2) and ``-1`` (version 1) mean none."""
    with suppress(OSError, ValueError):
        quota, period = (directory / "cpu.max").read_text().split()
        yield from _share(int(quota), int(period))
    with suppress(OSError, ValueError):
        quota = (directory / "cpu.cfs_quota_us").read_text()
        yield from _share(int(quota), int((directory / "cpu.cfs_period_us").read_text()))


def _share(quota: int, period: int) -> Iterator[float]:
    if quota > 0 and period > 0:
        share = quota / period
        if math.isfinite(share):
            yield share
