"""DVSim's `SlurmLauncher` where `srun` is a stand-in: what needs no cluster. On a real one it is in `test_slurm`."""

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
    assert facts["seen"] == ["FAILED", "pre_launch"]  # a hook of ours is told a status of ours
    assert facts["logs"] == {
        "passes": "[Executing]:\necho 'ALL  GOOD'\n\nALL  GOOD\n",  # a sequence: the same words, whatever is in them
        "fails": "[Executing]:\necho $WORD; exit 3\n\nout\n",
    }
