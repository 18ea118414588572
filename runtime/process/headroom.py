"""`Headroom`: how much memory and disk must be free on this machine before another job starts, and whether it is.

What is started while memory is nearly used up ends by the OOM killer, and takes others down with it; what is started
while a disk is full fails, and looks like a failure of the design. What runs already is not touched.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from runtime.job.sizes import size_text
from runtime.process.cgroups import PROC
from runtime.process.limits import available_memory

MAX_PRESSURE: Final = 25.0
"""Percent of the last ten seconds in which some process waited for memory, from which on nothing starts. Arbitrary: a
machine that swaps is above it, one that reads many files is not. At four times as much it would be too late; at a
tenth, the start of a large simulation would hold up the next ones."""


@attrs.frozen
class Headroom:
    """What must be free; `None` where nothing is asked for."""

    memory: int | None = None
    """Bytes of memory."""
    disk: int | None = None
    """Bytes on the file system of the run directory, for users without special rights."""


@attrs.frozen
class MachineState:
    """What is free now; `None` where that is not known."""

    memory: int | None = None
    """Bytes of memory that can be used without swapping."""
    disk: int | None = None
    """Bytes on the file system of a directory, for users without special rights."""
    pressure: float | None = None
    """Percent of the last ten seconds in which some process waited for memory."""


def read_machine_state(directory: str, proc: Path = PROC) -> MachineState:
    """Return what is free on this machine, and on the file system of `directory`. Blocks."""
    disk = None
    with suppress(OSError):
        found = os.statvfs(directory)
        disk = found.f_bavail * found.f_frsize
    return MachineState(available_memory(proc), disk, _pressure(proc))


def _pressure(proc: Path) -> float | None:
    with suppress(OSError, ValueError, IndexError):
        # some avg10=0.00 avg60=0.00 avg300=0.00 total=0
        for line in (proc / "pressure/memory").read_text().splitlines():
            if line.startswith("some avg10="):
                return float(line.split()[1].partition("=")[2])
    return None


def shortage(needed: Headroom, found: MachineState) -> str | None:
    """Return which memory or disk space is missing, in one line; `None` if none is, or it is not known."""
    for what, option, least, free in (
        ("of memory are available", "mem_free", needed.memory, found.memory),
        ("of disk space are free", "disk_free", needed.disk, found.disk),
    ):
        if least is not None and free is not None and free < least:
            return f"{size_text(free)} {what}; {option} is {size_text(least)}"
    return None


def pressure(found: MachineState) -> str | None:
    """Return that processes wait for memory, in one line; `None` if they do not, or it is not known."""
    if found.pressure is None or found.pressure < MAX_PRESSURE:
        return None
    return f"processes wait for memory {found.pressure:.0f} % of the time"
