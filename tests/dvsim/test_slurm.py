"""DVSim's `SlurmLauncher` on a real Slurm of two nodes: our events agree with what the jobs have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dvsim.running import by_id, run_program
from tests.slurm.cluster import NODES, Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]


def test_fifty_jobs_have_fifty_events_each_in_agreement_with_what_the_job_wrote(slurm: Cluster, tmp_path: Path) -> None:
    def log(number: int) -> list[str]:
        return (tmp_path / f"pass{number}" / "run.log").read_text().splitlines()

    before = set(slurm.processes())
    facts = run_program("slurm", tmp_path)
    events = by_id(facts)
    assert len(events) == 50

    slurm.wait(lambda: slurm.call("squeue", "--noheader") == "", "no job is left")
    slurm.wait(lambda: set(slurm.processes()) <= before, "no process of a job is left")
    exits = {job_id: (tmp_path / job_id.removeprefix("aes:") / "exit").read_text().strip() for job_id in events}
    expected = {"0": "PASSED", "running": "KILLED"}
    for job_id, event in events.items():
        assert event["status"] == expected.get(exits[job_id], "FAILED"), (exits[job_id], event)
    codes = ["running"] * 8 + ["0"] * 24 + [str(code) for code in range(1, 13)] + ["0", "1"] * 3
    assert sorted(exits.values()) == sorted(codes)
    killed = [event for event in events.values() if event["status"] == "KILLED"]
    assert {(event["kind"], event["message"]) for event in killed} == {("cancelled", "killed by the caller")}

    ran_on = [line.split()[-1] for i in range(24) for line in log(i) if line.startswith("TEST PASSED on ")]
    assert len(ran_on) == 24
    assert set(ran_on) <= set(NODES)


def test_without_a_controller_each_job_fails_with_the_words_of_slurm(slurm: Cluster, tmp_path: Path) -> None:
    slurm["slurmctld"].kill()
    events = by_id(run_program("slurm_gone", tmp_path))
    assert {event["status"] for event in events.values()} == {"FAILED"}
    for event in events.values():
        assert any("Unable to" in line for line in event["context"]), event
