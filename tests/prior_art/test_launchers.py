"""A launcher of DVSim's own runs behind the adapter, unmodified, with our jobs and with DVSim's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import trio


@pytest.mark.slow
def test_the_slurm_launcher_of_dvsim(tmp_path: Path) -> None:
    program = Path(__file__).with_name("dvsim_launchers.py")
    python = os.environ.get("DVSIM_PYTHON", "/nonexistent/python-of-dvsim")
    packages = Path(trio.__file__).parents[1]
    done = subprocess.run(
        [python, program, tmp_path, packages], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts.pop("log") == "[Executing]:\necho 'ALL  GOOD'\n\nALL  GOOD\n"
    assert facts == {
        "name": "slurm",
        "passes": ["PASSED", None],
        "fails": ["FAILED", "Job returned non-zero exit code"],
        "runs": ["KILLED", "killed by the caller"],
        "theirs": ["PASSED", None],
        "seen": ["FAILED", "pre_launch"],
    }
