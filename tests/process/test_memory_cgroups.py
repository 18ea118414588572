from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from runtime.process import memory_cgroups
from runtime.process.guard.job_files import EnteredCgroup
from runtime.process.memory_cgroups import JobCgroup, MemoryCgroups, NoCgroupsError
from runtime.process.memory_use import MemoryUse
from tests.process.memory_places import FIRST, Second, of_the_kernel

LIMIT = 64 << 20


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Second:
    return Second(tmp_path, monkeypatch)


# ------------------------------------------------------------------ version 2, on a directory


def test_jobs_are_beside_this_process_where_a_parent_hands_the_controller_on(second: Second) -> None:
    with closing(MemoryCgroups.open()) as cgroups:
        assert cgroups.version == 2
        assert cgroups.directory.parent == second.home.parent
        assert (cgroups.directory / "cgroup.subtree_control").read_text() == "+memory"
        job = cgroups.make(LIMIT)
        directory = second.directory_of(job)
        assert directory.parent == cgroups.directory
        assert (directory / "memory.max").read_text() == str(LIMIT)
        assert (directory / "memory.swap.max").read_text() == "0"
        assert (directory / "memory.oom.group").read_text() == "1"
        assert job.entry == (os.fsencode(directory / "cgroup.procs"), os.fsencode(second.home / "cgroup.procs"))
        job.remove()
        job.remove()
        assert not directory.exists()
    assert second.ours() == []


def test_the_nearest_parent_that_will_do_is_taken(second: Second) -> None:
    second.delegate(second.home.parent, "cpu pids")
    with closing(MemoryCgroups.open()) as cgroups:
        assert cgroups.directory.parent == second.mounted / "user.slice"


def test_the_cgroup_of_this_process_itself_will_do_if_it_is_the_root(second: Second) -> None:
    second.delegate(second.home, "memory")  # with processes in it, only the root of all can do that
    with closing(MemoryCgroups.open()) as cgroups:
        assert cgroups.directory.parent == second.home


def test_a_place_to_which_no_process_can_move_is_left_again(second: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_cgroups, "_TRIAL", "case $0 in *app.slice*) echo not here >&2; exit 1; esac")
    with closing(MemoryCgroups.open()) as cgroups:
        assert cgroups.directory.parent == second.mounted / "user.slice"
        assert second.ours() == [cgroups.directory]
    monkeypatch.setattr(memory_cgroups, "_TRIAL", "echo not here >&2; exit 1")
    with pytest.raises(NoCgroupsError, match=r"^no process can be moved there: not here: "):
        MemoryCgroups.open()
    assert second.ours() == []


def test_a_trial_that_hangs_is_given_up(second: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_cgroups, "_TRIAL", "exec sleep 1000")
    monkeypatch.setattr(memory_cgroups, "_TRIAL_TIMEOUT", 0.01)
    with pytest.raises(NoCgroupsError, match=r"no process enters a cgroup within 0\.01 s"):
        MemoryCgroups.open()
    assert second.ours() == []


def test_where_nothing_is_handed_on_there_are_none(second: Second) -> None:
    for directory in (second.home.parent, second.mounted / "user.slice", second.mounted):
        second.delegate(directory, "cpu")
    with pytest.raises(NoCgroupsError, match=r"^the system has no memory cgroups"):
        MemoryCgroups.open()
    (second.proc / "self/cgroup").unlink()
    with pytest.raises(NoCgroupsError):
        MemoryCgroups.open()


@pytest.mark.parametrize(
    ("files", "use"),
    [
        ({"memory.peak": "5000\n", "memory.events": "max 3\noom 0\noom_kill 0\n"}, MemoryUse(LIMIT, 5000)),
        ({"memory.peak": f"{LIMIT + 1}\n", "memory.events": "oom_kill 2\n"}, MemoryUse(LIMIT, LIMIT, killed=True)),
        ({"memory.events": "oom_kill 1\n"}, MemoryUse(LIMIT, None, killed=True)),  # before Linux 5.19
        ({"memory.peak": "x", "memory.events": "oom_kill x\n"}, MemoryUse(LIMIT)),
    ],
)
def test_the_kernel_counts_what_was_used_and_whom_it_has_killed(
    second: Second, files: dict[str, str], use: MemoryUse
) -> None:
    with closing(MemoryCgroups.open()) as cgroups:
        job = cgroups.make(LIMIT)
        for name, text in files.items():
            (second.directory_of(job) / name).write_text(text)
        assert job.use() == use


def test_what_a_killed_process_has_left_is_removed_and_nothing_else(second: Second) -> None:
    left = second.home.parent / "job-runtime-7-1"
    (left / "job-1").mkdir(parents=True)
    other = second.home.parent / "other.scope"
    other.mkdir()
    with closing(MemoryCgroups.open()) as first:
        assert not left.exists()
        assert other.exists()
        with closing(MemoryCgroups.open()) as another:
            assert second.ours() == sorted([first.directory, another.directory])
            first.make(LIMIT)


def test_what_still_has_processes_stays_until_they_have_ended(second: Second) -> None:
    cgroups = MemoryCgroups.open()
    job = cgroups.make(LIMIT)
    directory = second.directory_of(job)
    (directory / "busy").touch()
    job.remove()
    assert directory.exists()
    (directory / "busy").unlink()
    cgroups.close()
    assert second.ours() == []


def test_what_a_job_has_made_in_its_cgroup_is_removed_with_it(tmp_path: Path) -> None:
    """As the cgroups of a runtime that a job has started, and that was killed."""
    directory = tmp_path / "job-1"
    job = JobCgroup(LIMIT, (b"", b""), directory, memory_cgroups._SECOND)
    for name in ("job-runtime-7-1/job-1/job-runtime-8-1", "job-runtime-7-1/job-2", "other"):
        (directory / name).mkdir(parents=True)
    (directory / "other/busy").touch()
    job.remove()
    assert [path.name for path in directory.iterdir()] == ["other"]
    (directory / "other/busy").unlink()
    job.remove()
    assert not directory.exists()


def test_a_directory_that_is_taken_for_a_leftover_is_made_again(
    second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = memory_cgroups._lock, list[Path]()

    def take_first(directory: Path) -> int | None:
        if not taken:
            taken.append(directory)
            directory.rmdir()
        return lock(directory)

    monkeypatch.setattr(memory_cgroups, "_lock", take_first)
    with closing(MemoryCgroups.open()) as cgroups:
        assert second.ours() == [cgroups.directory]
        assert taken == [cgroups.directory.with_name(f"job-runtime-{os.getpid()}-1")]


# ------------------------------------------------------------------ entering


def test_what_cannot_be_left_is_not_entered(tmp_path: Path) -> None:
    enter, leave = tmp_path / "enter", tmp_path / "leave"
    enter.touch()
    with pytest.raises(FileNotFoundError), EnteredCgroup((os.fsencode(enter), os.fsencode(leave))):
        raise AssertionError
    assert enter.read_text() == ""
    leave.touch()
    with EnteredCgroup((os.fsencode(enter), os.fsencode(leave))):
        assert (enter.read_text(), leave.read_text()) == ("0", "")
    assert leave.read_text() == "0"
    enter.unlink()
    fds = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError), EnteredCgroup((os.fsencode(enter), os.fsencode(leave))):
        raise AssertionError
    assert len(os.listdir("/proc/self/fd")) == fds


# ------------------------------------------------------------------ version 1, by the kernel


LEAVES = """
import os, signal, sys
from runtime.process.memory_cgroups import MemoryCgroups
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
cgroups = MemoryCgroups.open()
cgroups.make(64 << 20)
if len(sys.argv) == 2:
    os.kill(os.getpid(), signal.SIGKILL)
cgroups.close()
"""


@of_the_kernel
def test_a_child_begins_there_and_its_parent_returns() -> None:
    before = Path("/proc/self/cgroup").read_text()
    with closing(MemoryCgroups.open()) as cgroups:
        assert cgroups.version == 1
        job = cgroups.make(LIMIT)
        inside = Second.directory_of(job).relative_to(FIRST)
        with EnteredCgroup(job.entry):
            done = subprocess.run(["cat", "/proc/self/cgroup"], stdout=subprocess.PIPE, check=True, text=True)
        assert f"memory:/{inside}\n" in done.stdout
        assert Path("/proc/self/cgroup").read_text() == before
        assert not job.use().is_over
        words = [sys.executable, "-I", "-S", "-c", "input(); bytearray(2 << 30)"]
        with EnteredCgroup(job.entry):
            child = subprocess.Popen(words, stdin=subprocess.PIPE)
        child.communicate(b"\n")  # only now: this process must not be there when the kernel kills
        assert child.returncode == -9
        assert job.use() == MemoryUse(LIMIT, LIMIT, killed=True)
    assert not cgroups.directory.exists()


@of_the_kernel
def test_after_sigkill_the_next_start_cleans_up() -> None:
    parent = FIRST / f"tests-{os.getpid()}"
    parent.mkdir()
    (parent / "memory.oom_control").write_text("1")  # what needs more would wait for ever; children begin so
    try:
        program = [sys.executable, "-c", LEAVES, str(parent)]
        assert subprocess.run(program, check=False).returncode == -9
        (left,) = parent.glob("job-runtime-*/job-*")
        assert "oom_kill_disable 0\n" in (left / "memory.oom_control").read_text()
        subprocess.run([*program, "and closes"], check=True)
        assert list(parent.glob("job-runtime-*")) == []
    finally:
        for directory in (*parent.glob("*/*/"), *parent.glob("*/"), parent):
            directory.rmdir()
