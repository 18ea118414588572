"""Places for memory cgroups, for tests: a directory that stands for version 2, and none at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from runtime.process import memory_cgroups
from runtime.process.memory_cgroups import JobCgroup, MemoryCgroups, NoCgroupsError

FIRST = Path("/sys/fs/cgroup/memory")
"""Where version 1 is mounted."""

needs_first = [
    pytest.mark.root,
    pytest.mark.skipif(
        not (FIRST / "cgroup.procs").exists(),
        reason="this kernel has no memory cgroups of version 1: there memory is watched, which other tests run",
    ),
]
"""Marks of a test in which the kernel enforces a ceiling."""

TestT = TypeVar("TestT", bound=Callable[..., object])


def of_the_kernel(test: TestT) -> TestT:
    """Give a test these marks."""
    for mark in needs_first:
        test = mark(test)
    return test


def none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no place for cgroups."""

    def no_cgroups() -> MemoryCgroups:
        raise NoCgroupsError("the test says so")

    monkeypatch.setattr(MemoryCgroups, "open", no_cgroups)


class Second:
    """Directories that stand for ``/proc`` and for cgroups of version 2, as systemd makes them for a user.

    No kernel looks at them: what it would write, a test writes.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.mounted = directory / "proc", directory / "cgroups"
        self.home = self.mounted / "user.slice/app.slice/shell.scope"
        self.home.mkdir(parents=True)
        self.delegate(self.mounted / "user.slice/app.slice", "cpu memory pids")
        self.delegate(self.mounted / "user.slice", "memory")
        self.delegate(self.mounted, "memory")
        self.delegate(self.home, "")
        (self.home / "cgroup.procs").write_text(f"1\n{os.getpid()}\n")
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/cgroup").write_text("0::/user.slice/app.slice/shell.scope\n")
        make, path_of = MemoryCgroups.make, self.directory_of

        def make_with_files(cgroups: MemoryCgroups, limit: int) -> JobCgroup:
            made = make(cgroups, limit)
            for name in ("cgroup.procs", "memory.events"):  # which the kernel makes with the directory
                (path_of(made) / name).touch()
            return made

        monkeypatch.setattr(MemoryCgroups, "make", make_with_files)
        monkeypatch.setattr(memory_cgroups, "_remove", self._remove)
        monkeypatch.setattr(MemoryCgroups, "open", partial(MemoryCgroups.open, self.proc, self.mounted))

    @staticmethod
    def delegate(directory: Path, controllers: str) -> None:
        (directory / "cgroup.subtree_control").write_text(f"{controllers}\n")

    @staticmethod
    def directory_of(cgroup: JobCgroup) -> Path:
        return Path(os.fsdecode(cgroup.entry[0])).parent

    @staticmethod
    def _remove(directory: Path) -> bool:
        """Remove a directory as if its files were the kernel's."""
        if (directory / "busy").exists():
            return False
        shutil.rmtree(directory, ignore_errors=True)
        return True

    def ours(self) -> list[Path]:
        """Return our directories that exist."""
        return sorted(self.mounted.glob("**/job-runtime-*"))
