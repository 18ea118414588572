"""What is free on a machine, and which of it is too little."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.process.headroom import MAX_PRESSURE, Headroom, MachineState, pressure, read_machine_state, shortage

GIB = 1 << 30
PRESSURE = "some avg10={0:.2f} avg60=0.00 avg300=0.00 total=9\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=9\n"


def proc(directory: Path, *, meminfo: str = "", memory: str | None = None) -> Path:
    (directory / "pressure").mkdir()
    (directory / "meminfo").write_text(meminfo)
    if memory is not None:
        (directory / "pressure" / "memory").write_text(memory)
    return directory


def test_what_the_kernel_says_is_read(tmp_path: Path) -> None:
    where = proc(tmp_path, meminfo="MemTotal: 9 kB\nMemAvailable:    2048 kB\n", memory=PRESSURE.format(31.25))
    found = read_machine_state(str(tmp_path), where)
    assert (found.memory, found.pressure) == (2 << 20, 31.25)
    status = os.statvfs(tmp_path)
    assert found.disk is not None
    assert 0 < found.disk <= status.f_blocks * status.f_frsize


@pytest.mark.parametrize("memory", [None, "", "some\n", "some avg10=\n", "some avg10=x avg60=0\n", "full avg10=9.00\n"])
def test_what_it_does_not_say_is_not_known_and_holds_nothing_back(tmp_path: Path, memory: str | None) -> None:
    found = read_machine_state(str(tmp_path / "gone"), proc(tmp_path, memory=memory))
    assert found == MachineState()
    assert shortage(Headroom(GIB, GIB), found) is pressure(found) is None


def test_this_machine_says_something() -> None:
    found = read_machine_state("/")
    assert found.memory is not None
    assert found.memory > 1 << 20


def test_less_than_is_asked_for_is_too_little() -> None:
    assert shortage(Headroom(2 * GIB), MachineState(memory=2 * GIB)) is None
    assert shortage(Headroom(2 * GIB), MachineState(memory=GIB)) == "1 GiB of memory are available; mem_free is 2 GiB"
    assert shortage(Headroom(disk=10 * GIB), MachineState(0, 0)) == (
        "0 bytes of disk space are free; disk_free is 10 GiB"
    )
    assert shortage(Headroom(), MachineState(0, 0)) is None


def test_waiting_for_memory_is_pressure_from_a_quarter_of_the_time_on() -> None:
    assert pressure(MachineState(pressure=MAX_PRESSURE - 0.01)) is None
    assert pressure(MachineState(pressure=MAX_PRESSURE)) == "processes wait for memory 25 % of the time"
