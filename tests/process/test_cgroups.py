from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from runtime.process.cgroups import cpu_quota, hierarchies, pids_left
from runtime.process.limits import usable_cpus


def laid_out(directory: Path, membership: str, files: Mapping[str, str]) -> tuple[Path, Path]:
    """Write the files of cgroups; return the directories that stand for ``/proc`` and the mount point."""
    (directory / "self").mkdir()
    (directory / "self/cgroup").write_text(membership)
    for name, text in files.items():
        file = directory / "mounted" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return directory, directory / "mounted"


V1 = "3:memory:/\n2:cpu,cpuacct:/a/b\n1:name=systemd:/\n"


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/a/b\n", {}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000"}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "200000 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b\n", {"unified/a/cpu.max": "50000 100000"}, 0.5),
        (V1, {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, None),
        (V1, {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "50000", "cpu,cpuacct/a/b/cpu.cfs_period_us": "25000"}, 2),
        (V1, {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000"}, 2.5),
        # In a container: the path is that of the host, and the container's own cgroup is mounted at the top.
        ("1:cpu:/docker/4e\n", {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ("0::/../../x\n", {"cpu.max": "70000 10000", "x/cpu.max": "10000 10000"}, 7),
        # Files that no kernel writes, and those of other controllers.
        ("0::/\n", {"cpu.max": "50000 0"}, None),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
        ("4:memory:/\n", {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, None),
        # Both versions side by side.
        (V1 + "0::/c\n", {"cpu/cpu.cfs_quota_us": "4", "cpu/cpu.cfs_period_us": "1", "c/cpu.max": "3 1"}, 3),
    ],
)
def test_the_least_quota_of_a_cgroup_and_its_parents_counts(
    tmp_path: Path, membership: str, files: Mapping[str, str], quota: float | None
) -> None:
    assert cpu_quota(*laid_out(tmp_path, membership, files)) == quota


@pytest.mark.parametrize(
    ("quota", "cpus"), [("max", 8), ("1", 1), ("100", 1), ("101", 2), ("250", 3), ("800", 8), ("900", 8)]
)
def test_a_fraction_of_a_cpu_counts_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cpus: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert usable_cpus(*laid_out(tmp_path, "0::/\n", {"cpu.max": f"{quota} 100"})) == cpus


def test_without_proc_there_is_no_quota(tmp_path: Path) -> None:
    assert hierarchies("cpu", tmp_path, tmp_path) == []
    assert cpu_quota(tmp_path, tmp_path) is None
    assert pids_left(tmp_path, tmp_path) is None


@pytest.mark.parametrize(
    ("line", "directory"), [("0::/a/b", "a/b"), ("7:pids:/a", "pids/a"), ("1:name=systemd:/\n7:pids:/a", "pids/a")]
)
def test_the_cgroup_says_how_many_processes_are_left(tmp_path: Path, line: str, directory: str) -> None:
    system = laid_out(tmp_path, line + "\n", {})
    assert pids_left(*system) is None
    group = tmp_path / "mounted" / directory
    group.mkdir(parents=True)
    (group / "pids.current").write_text("30\n")
    (group / "pids.max").write_text("max\n")
    assert pids_left(*system) is None
    (group / "pids.max").write_text("100\n")
    assert pids_left(*system) == 70
    (group.parent / "pids.current").write_text("95\n")  # its parent has other children
    (group.parent / "pids.max").write_text("100\n")
    assert pids_left(*system) == 5


@pytest.fixture
def half_a_cpu() -> Iterator[Path]:
    """A cgroup with half of a CPU, of version 1 or 2."""
    root = Path("/sys/fs/cgroup")
    first = (root / "cpu").is_dir()
    made = (root / "cpu" if first else root) / f"job-runtime-{os.getpid()}"
    made.mkdir()
    if first:
        (made / "cpu.cfs_quota_us").write_text("50000")
    else:
        (made / "cpu.max").write_text("50000 100000")
    yield made
    made.rmdir()


IN_A_CGROUP = """
import sys
open(sys.argv[1], "w").write("0")
from runtime import LocalBackend
print(LocalBackend().max_parallelism, LocalBackend(7).max_parallelism)
"""


@pytest.mark.root
def test_as_many_jobs_run_at_once_as_the_quota_has_cpus(half_a_cpu: Path) -> None:
    words = [sys.executable, "-c", IN_A_CGROUP, str(half_a_cpu / "cgroup.procs")]
    assert subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout == b"1 7\n"
