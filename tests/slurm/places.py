"""Where are the clusters of this machine? A directory each, in one that only root can write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.slurm.cluster import Process

PLACES: Final = Path("/run/runtime-slurm")
BY_HAND: Final = PLACES / "by-hand"
"""The one of `make slurm-up`."""


def of_this_program(which: str = "") -> Path:
    """A directory for a cluster that ends with this program; it can have several, which letters tell apart."""
    me = Process.of(os.getpid())
    assert me is not None, "whoever asks is alive"
    return PLACES / f"program{which}-{me.pid}-{me.born}"


def abandoned(places: Path = PLACES) -> Iterator[Path]:
    """The clusters whose program has ended without taking them down: it was killed."""
    for directory in sorted(places.glob("program*-*-*")):
        _, pid, born = directory.name.split("-")
        if Process.of(int(pid)) != Process(int(pid), int(born)):
            yield directory
