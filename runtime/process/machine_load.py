"""How busy is this machine? `read_machine` tells, of all programs on it together, as Linux does."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from runtime.process.cgroups import PROC

_BUSY: Final = (0, 1, 2, 5, 6, 7)
"""The fields of the line of all CPUs in ``/proc/stat`` that are work: user, nice, system, irq, softirq and steal. Those
between are idle and waiting; the times of guests are in the first two."""
_KIB: Final = 1024
_ANOTHER_SYSTEM: Final = (OSError, ValueError, IndexError, KeyError)
"""What reading these files raises where they are not, or are not as Linux writes them."""


@attrs.frozen
class MachineLoad:
    """What is in use of a machine. What cannot be read is `None`."""

    busy_seconds: float | None = None
    """CPU seconds of all programs since it was started."""
    memory: int | None = None
    """Bytes that are in use, and cannot be had without writing anything out."""


def read_machine(proc: Path = PROC) -> MachineLoad:
    """Return what is in use of this machine, container or not. Never raises. Blocks: for threads, for a millisecond."""
    busy_seconds = memory = None
    with suppress(*_ANOTHER_SYSTEM):
        busy_seconds = _busy_seconds(proc)
    with suppress(*_ANOTHER_SYSTEM):
        memory = _memory(proc)
    return MachineLoad(busy_seconds, memory)


def _busy_seconds(proc: Path) -> float:
    with open(proc / "stat", "rb") as file:
        name, *fields = file.readline().split()
    if name != b"cpu":
        raise ValueError(name)
    return sum(int(fields[index]) for index in _BUSY) / os.sysconf("SC_CLK_TCK")


def _memory(proc: Path) -> int:
    with open(proc / "meminfo", "rb") as file:
        fields = {key: value for key, _, value in (line.partition(b":") for line in file)}
    total, available = (int(fields[key].split()[0]) for key in (b"MemTotal", b"MemAvailable"))
    return (total - available) * _KIB
