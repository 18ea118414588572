from __future__ import annotations

import resource
from pathlib import Path

import pytest

from runtime.process.limits import SPARE, Resources, available_memory, shortages


def test_with_enough_resources_nothing_is_short() -> None:
    assert shortages(Resources(), 10**9, processes=2, memory=2**20) == []
    exact = Resources(10 + SPARE, 20 + SPARE, 10 * 2**20)
    assert shortages(exact, 10, processes=2, memory=2**20) == []


def test_each_shortage_says_what_is_needed_and_what_is_allowed() -> None:
    resources = Resources(10 + SPARE - 1, 20 + SPARE - 1, 10 * 2**20 - 1)
    files, processes, memory = shortages(resources, 10, processes=2, memory=2**20)
    assert files == "74 open files, and 73 are allowed (say `ulimit -n 74`)"
    assert processes == "84 processes, and 83 are allowed (`ulimit -u`, or pids.max of the cgroup)"
    assert memory == "10 MiB of memory for their shims, and 9 are available"


def test_the_memory_is_what_the_system_could_give(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    1234 kB\n")
    assert available_memory(tmp_path) == 1234 * 1024
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\n")
    assert available_memory(tmp_path) is None


def test_this_machine_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert Resources.here().files == (None if soft == resource.RLIM_INFINITY else soft)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, hard))
    assert Resources.here().files is None
    assert Resources.here().memory
