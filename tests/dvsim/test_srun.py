"""DVSim's `SlurmLauncher` with a stand-in for `srun`, without a cluster. `test_slurm` uses a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dvsim.running import by_id, run_program

pytestmark = pytest.mark.slow


def test_jobs_of_ours_and_of_dvsim_side_by_side(tmp_path: Path) -> None:
    facts = run_program("srun", tmp_path)
    assert facts["backend"] == "slurm"
    assert {name: (event["status"], event["message"]) for name, event in by_id(facts).items()} == {
        "passes": ("PASSED", None),
        "fails": ("FAILED", "Job returned non-zero exit code"),
        "runs": ("KILLED", "killed by the caller"),
        "aes:theirs": ("PASSED", None),
    }
    assert facts["seen"] == ["FAILED", "pre_launch"]  # our job's hook gets our status
    assert facts["logs"] == {
        "passes": "[Executing]:\necho 'ALL  GOOD'\n\nALL  GOOD\n",  # a list of words stays the same words
        "fails": "[Executing]:\necho $WORD; exit 3\n\nout\n",
    }
