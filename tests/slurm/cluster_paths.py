"""The paths of the clusters of this machine: a directory for each, in one that only root can write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.slurm.cluster import Process

CLUSTERS: Final = Path("/run/runtime-slurm")
BY_HAND: Final = CLUSTERS / "by-hand"
"""The cluster of `make slurm-up`."""


def of_this_program(which: str = "") -> Path:
    """Return the directory of a cluster that ends with this program; `which` tells several apart."""
    me = Process.of(os.getpid())
    assert me is not None, "this process is alive"
    return CLUSTERS / f"program{which}-{me.pid}-{me.born}"


def abandoned(clusters: Path = CLUSTERS) -> Iterator[Path]:
    """Yield the directories of clusters whose program was killed before it could shut them down."""
    for directory in sorted(clusters.glob("program*-*-*")):
        _, pid, born = directory.name.split("-")
        if Process.of(int(pid)) != Process(int(pid), int(born)):
            yield directory
