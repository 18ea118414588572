from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.process.memory_use import MemoryTable, MemoryUse, WatchedMemory

MIB = 1 << 20
PAGES = MIB // os.sysconf("SC_PAGE_SIZE")
SHIM, ROOT = 10, 11


class Processes:
    """A directory that stands for ``/proc``."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc

    def add(self, pid: int, parent: int, session: int, mib: int, *, pss: str | None = None, name: str = "sim") -> None:
        directory = self.proc / str(pid)
        directory.mkdir()
        rest = ["0"] * 17
        text = f"{pid} ({name}) S {parent} {session} {session} {' '.join(rest)} {mib * PAGES} 0\n"
        (directory / "stat").write_text(text)
        if pss is not None:
            (directory / "smaps_rollup").write_text(pss)

    def table(self) -> MemoryTable:
        return MemoryTable.read(self.proc)

    def use(self, watched: WatchedMemory, ancestor: int = SHIM) -> MemoryUse:
        return watched.use(self.table(), ROOT, ancestor, self.proc)


def pss(mib: int) -> str:
    return f"00400000-7fff ---p 00000000 00:00 0 [rollup]\nRss: 999999 kB\nPss: {mib * 1024} kB\nPss_Dirty: 7 kB\n"


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    made = Processes(tmp_path)
    made.add(1, 0, 1, 7)
    made.add(SHIM, 1, SHIM, 7)
    made.add(ROOT, SHIM, ROOT, 10, name="a) (b")
    made.add(12, ROOT, ROOT, 20)
    made.add(13, 12, 13, 30)  # left the session
    made.add(14, SHIM, 14, 40)  # an orphan that left the session
    made.add(15, 1, ROOT, 50)  # an orphan of a root that has no shim
    made.add(16, 1, 16, 7)
    (tmp_path / "17").mkdir()  # it ends while it is looked at
    (tmp_path / "meminfo").write_text("")
    return made


@pytest.mark.parametrize(("ancestor", "found"), [(SHIM, {11, 12, 13, 14, 15}), (ROOT, {11, 12, 13, 15})])
def test_a_job_is_the_session_of_its_root_and_all_descendants(
    processes: Processes, ancestor: int, found: set[int]
) -> None:
    assert processes.table().of_job(ROOT, ancestor) == found


def test_pss_is_read_only_if_the_sum_of_the_resident_sets_is_too_large(processes: Processes) -> None:
    assert processes.use(WatchedMemory(150 * MIB)) == MemoryUse(150 * MIB, 150 * MIB)
    for pid in (12, 14, 15):
        (processes.proc / str(pid) / "smaps_rollup").write_text(pss(5))
    (processes.proc / "13" / "smaps_rollup").write_text("nothing that a kernel writes")
    (processes.proc / "11" / "smaps_rollup").mkdir()  # not permitted, as of a program that runs as somebody else
    assert processes.use(WatchedMemory(149 * MIB)).peak == (10 + 30 + 5 + 5 + 5) * MIB


def test_mapped_files_do_not_count(processes: Processes) -> None:
    rollup = f"{pss(500)}Pss_Anon: {3 * 1024} kB\nPss_File: {495 * 1024} kB\nPss_Shmem: {2 * 1024} kB\n"
    (processes.proc / "15" / "smaps_rollup").write_text(rollup)
    assert processes.use(WatchedMemory(149 * MIB)).peak == (10 + 20 + 30 + 40 + 5) * MIB


def test_where_the_kernel_does_not_tell_pss_the_resident_sets_count(processes: Processes) -> None:
    """As Linux before 4.14, and others that only look like Linux."""
    assert processes.use(WatchedMemory(149 * MIB)) == MemoryUse(149 * MIB, 150 * MIB)


def test_what_has_ended_uses_nothing(processes: Processes) -> None:
    table = processes.table()
    for pid in (12, 13, 14, 15):
        (processes.proc / str(pid) / "stat").unlink()
    assert WatchedMemory(4 * MIB).use(table, ROOT, SHIM, processes.proc).peak == 10 * MIB


def test_the_peak_stays(processes: Processes) -> None:
    watched = WatchedMemory(200 * MIB)
    processes.use(watched)
    (processes.proc / "13" / "stat").unlink()
    assert processes.use(watched).peak == 150 * MIB


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (MemoryUse(200 * MIB, 204 * MIB), "used 204 MiB of the 200 MiB of memory that it may use (memory)"),
        (
            MemoryUse(200 * MIB, 200 * MIB, killed=True),
            "used 200 MiB of the 200 MiB of memory that it may use (memory); the kernel has killed a process of it",
        ),
        (
            MemoryUse(200 * MIB, None, killed=True),
            "used more than the 200 MiB of memory that it may use (memory)",
        ),
        (
            MemoryUse(200 * MIB, 20 * MIB, killed=True),
            (
                "used 20 MiB of the 200 MiB of memory that it may use (memory); all the same, "
                "the kernel has killed a process of it because memory ran out"
            ),
        ),
    ],
)
def test_the_message_has_the_ceiling_and_the_peak(use: MemoryUse, text: str) -> None:
    assert use.is_over
    assert str(use) == text


@pytest.mark.parametrize("peak", [None, 0, 200 * MIB])
def test_up_to_its_ceiling_a_job_is_not_over_it(peak: int | None) -> None:
    assert not MemoryUse(200 * MIB, peak).is_over


def test_this_process_is_in_the_table() -> None:
    table = MemoryTable.read()
    pid = os.getpid()
    assert table.resident[pid] > MIB
    assert pid in table.of_job(os.getsid(0), pid) | set(table.below[os.getppid()])
