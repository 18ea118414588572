"""Which cgroups does this process belong to, and what do they allow?

A limit counts wherever it stands: in the cgroup itself or in any of its parents. With version 1 each controller has a
hierarchy of its own; version 2 is one for all, and both may be there side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
MOUNTED: Final = Path("/sys/fs/cgroup")
"""Where cgroups are mounted. systemd and every container runtime use this place."""


def hierarchies(controller: str, proc: Path = PROC, mounted: Path = MOUNTED) -> list[list[Path]]:
    """Return, for each hierarchy that may have `controller`, where this process's cgroup and its parents may be.

    The cgroup comes first. A directory need not exist: where version 2 is mounted is not looked up, and in a container
    the path may be the host's, while what is mounted begins with the container's own cgroup. Without ``/proc`` there
    are none.
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
            # ".." stands there for a cgroup outside of our namespace, whose directory cannot be seen.
            inside = Path("" if ".." in path.split("/") else path.lstrip("/"))
            found.append([root / below for root in roots for below in (inside, *inside.parents)])
    return found


def cpu_quota(proc: Path = PROC, mounted: Path = MOUNTED) -> float | None:
    """Return how many CPUs' time this process may use, which may be a fraction; `None` for no limit."""
    quotas = [
        quota
        for directories in hierarchies("cpu", proc, mounted)
        for directory in directories
        for quota in _quotas(directory)
    ]
    return min(quotas, default=None)


def pids_left(proc: Path = PROC, mounted: Path = MOUNTED) -> int | None:
    """Return how many processes this process's cgroup may still get; `None` for no limit."""
    left = []
    for directories in hierarchies("pids", proc, mounted):
        for directory in directories:
            with suppress(OSError, ValueError):  # "max" is no number
                most = int((directory / "pids.max").read_text())
                left.append(most - int((directory / "pids.current").read_text()))
    return min(left, default=None)


def _quotas(directory: Path) -> Iterator[float]:
    """Yield the quota of one cgroup, if it has one: ``max 100000`` is none, and neither is ``-1``."""
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
