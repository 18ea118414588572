"""What is in use of a machine is read from what Linux says; where it does not, nothing is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.process.machine_load import MachineLoad, read_machine

STAT = "cpu  100 20 30 4000 500 6 7 8 90 10\ncpu0 1 2 3\nintr 1 2\n"
MEMINFO = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\nHugePages_Total:       0\n"


def test_work_of_all_cpus_counts_and_memory_that_is_not_available(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(STAT)
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert read_machine(tmp_path) == MachineLoad(171 / os.sysconf("SC_CLK_TCK"), 600 * 1024)


@pytest.mark.parametrize("stat", [None, "", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8 9", "cpu a b c d e f g h"])
@pytest.mark.parametrize("meminfo", [None, "", "MemTotal: 1 kB", "MemTotal: x\nMemAvailable: y"])
def test_another_system_is_no_error(tmp_path: Path, stat: str | None, meminfo: str | None) -> None:
    for name, content in (("stat", stat), ("meminfo", meminfo)):
        if content is not None:
            (tmp_path / name).write_text(content)
    assert read_machine(tmp_path) == MachineLoad()


def test_this_machine_is_known() -> None:
    found = read_machine()
    assert found.busy_seconds is not None
    assert found.busy_seconds > 0
    assert found.memory is not None
    assert found.memory > 1 << 20
