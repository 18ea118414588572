"""The cluster that other tests use: up, down, and everything that can be done to its daemons."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm import __main__ as program
from tests.slurm.cluster import NODES, Cluster, ClusterError, Process, check_machine
from tests.slurm.cluster_paths import abandoned, of_this_program

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]


def child(code: str) -> Process:
    """Start a Python program as a child that only the test waits for."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], dict(os.environ))
    process = Process.of(pid)
    assert process is not None
    return process


@pytest.fixture
def place() -> Iterator[Path]:
    """The directory of another cluster; munge's clients may not enter pytest's temporary directories."""
    directory = of_this_program().with_name("another-0-0")
    yield directory
    Cluster(directory).shut_down()


def listening(pids: set[int]) -> set[str]:
    """Return the hexadecimal TCP addresses at which these processes listen."""
    inodes = set()
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            target = fd.readlink().name if fd.is_symlink() else ""
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def test_jobs_run_on_both_nodes_and_the_cluster_listens_on_loopback_only(slurm: Cluster) -> None:
    hosts = slurm.call("srun", "--nodes=2", "--ntasks=2", "sh", "-c", "echo $SLURMD_NODENAME")
    assert sorted(hosts.split()) == list(NODES)
    pids = {process.pid for process in slurm.processes()}
    assert {daemon.process.pid for daemon in slurm.daemons.values() if daemon.process} <= pids
    assert listening(pids) == {"0100007F"}


@pytest.mark.parametrize("name", ["slurmctld", "n1", "munged"])
def test_a_daemon_that_is_killed_is_dead_and_comes_back(slurm: Cluster, name: str) -> None:
    before = slurm[name].process
    slurm[name].kill()
    assert not slurm[name].is_alive
    slurm.start(name)
    assert slurm[name].process != before
    slurm.heal()  # a controller that was killed may not know that a job has ended
    assert slurm.nodes() == dict.fromkeys(NODES, "idle")


def test_a_daemon_can_be_stopped_and_restarted(slurm: Cluster) -> None:
    slurm["n2"].restart()
    slurm.wait_idle()
    slurm["n2"].stop()
    assert not slurm["n2"].is_alive
    slurm["n2"].stop()  # once more does nothing


def test_a_frozen_controller_answers_nobody_until_it_is_thawed(slurm: Cluster) -> None:
    slurm["slurmctld"].freeze()
    assert slurm["slurmctld"].is_alive
    with pytest.raises(ClusterError, match="sinfo did not return within 1 s"):
        slurm.call("sinfo", timeout=1)
    slurm["slurmctld"].thaw()
    slurm.wait_idle()


def test_waiting_for_a_cluster_with_a_dead_daemon_says_which_one(slurm: Cluster) -> None:
    slurm["slurmctld"].kill()
    with pytest.raises(ClusterError, match=r"it can have no idle nodes; .*slurmctld has ended, n1 runs"):
        slurm.wait_idle()


def test_healing_ends_jobs_wakes_nodes_and_starts_what_is_dead(slurm: Cluster) -> None:
    for _ in range(3):
        slurm.call("sbatch", "--output=/dev/null", "--cpus-per-task=16", "--wrap=sleep 1000")
    slurm.call("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=test")
    slurm["n2"].freeze()
    slurm["slurmctld"].kill()
    slurm.heal()
    assert slurm.nodes() == dict.fromkeys(NODES, "idle")
    assert slurm.call("squeue", "--noheader") == ""


def test_a_second_cluster_leaves_nothing_behind_whatever_its_jobs_do(slurm: Cluster, place: Path) -> None:
    ours = {process.pid for process in slurm.processes()}
    with Cluster.create(place) as other:
        wrap = "--wrap=setsid -f sleep 1000; trap '' TERM; sleep 1000 & wait; sleep 1000"
        other.call("sbatch", "--output=/dev/null", wrap)
        other.call("sbatch", "--output=/dev/null", "--export=NONE", wrap)
        other.wait(
            lambda: len(set(other.processes())) >= len(other.daemons) + 2 * 4, "two jobs have all their processes"
        )
        processes = set(other.processes())
        assert not ours & {process.pid for process in processes}
        other["slurmctld"].freeze()
        assert slurm.nodes() == dict.fromkeys(NODES, "idle")
    assert [process for process in processes if process.is_alive] == []
    assert not place.exists()
    assert {process.pid for process in slurm.processes()} == ours


def test_a_cluster_is_found_again_by_its_directory_and_not_made_twice(slurm: Cluster) -> None:
    found = Cluster.find(slurm.directory)
    assert found is not None
    assert {name: found[name].process for name in found.daemons} == {
        name: slurm[name].process for name in slurm.daemons
    }
    with pytest.raises(ClusterError, match="exists: a cluster may be running there"):
        Cluster.create(slurm.directory)
    assert slurm.nodes() == dict.fromkeys(NODES, "idle")


def test_there_is_none_in_an_empty_directory(tmp_path: Path) -> None:
    assert Cluster.find(tmp_path) is None


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: 1000)
        with pytest.raises(ClusterError, match="needs root"):
            check_machine()
    monkeypatch.setattr("tests.slurm.cluster._path", lambda: "/nowhere")
    with pytest.raises(ClusterError, match=r"there is no munged, slurmctld, .*apt install slurm-wlm munge"):
        check_machine()


def test_a_cluster_that_does_not_come_up_says_why_and_leaves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.slurm.cluster._CONF", "# nothing\n")
    with pytest.raises(ClusterError, match=r"slurmctld has ended.*slurmctld: .*ClusterName needs to be"):
        Cluster.create(place)
    assert list(Cluster(place).processes()) == []
    assert not (place / "munge.socket").exists()


def test_a_cluster_whose_making_is_broken_off_leaves_nothing_at_all(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_idle(cluster: Cluster) -> None:
        assert list(cluster.processes())
        raise KeyboardInterrupt

    monkeypatch.setattr(Cluster, "wait_idle", wait_idle)
    with pytest.raises(KeyboardInterrupt):
        Cluster.create(place)
    assert list(Cluster(place).processes()) == []
    assert not place.exists()


def test_a_process_is_known_by_its_beginning_too() -> None:
    process = child("import time; time.sleep(1000)")
    stranger = Process(process.pid, process.born + 1)
    stranger.signal(signal.SIGKILL)
    assert not stranger.is_alive
    assert process.is_alive
    assert not process.wait(0)
    process.signal(signal.SIGKILL)
    assert process.wait(10)
    process.signal(signal.SIGKILL)  # it has ended: nothing happens


def test_clusters_of_programs_that_were_killed_are_found(tmp_path: Path) -> None:
    mine = tmp_path / of_this_program().name
    dead = tmp_path / f"program-{os.getpid()}-1"
    for directory in (mine, dead, tmp_path / "by-hand"):
        directory.mkdir()
    assert list(abandoned(tmp_path)) == [dead]


def test_up_status_and_down_by_hand(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "BY_HAND", place)
    monkeypatch.setattr(program, "abandoned", list)
    conf = place / "slurm.conf"

    assert (program.main(["status"]), program.main(["down"])) == (1, 0)
    assert capsys.readouterr().out == "there is no Slurm of ours: make slurm-up\nthere is no Slurm of ours\n"
    assert program.main(["up"]) == 0
    assert capsys.readouterr().out == f"a Slurm is up, with nodes n1 and n2\nexport SLURM_CONF={conf}\n"
    assert program.main(["up"]) == 0
    assert capsys.readouterr().out.startswith("a Slurm is up already\n")
    assert program.main(["status"]) == 0
    assert "n1         is idle\nn2         is idle\n" in capsys.readouterr().out
    cluster = Cluster.find(conf.parent)
    assert cluster is not None
    cluster["n1"].kill()
    assert program.main(["up"]) == 0  # what is left is taken down first
    assert capsys.readouterr().out.startswith("a Slurm is up, with nodes")
    assert list(cluster.processes()) != []
    assert program.main(["down"]) == 0
    assert list(cluster.processes()) == []
    assert not conf.parent.exists()


def test_an_error_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.slurm.cluster._path", lambda: "/nowhere")
    assert program.main(["check"]) == program.main(["up"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first == second
    assert first.startswith("there is no munged, ")
