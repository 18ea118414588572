"""``isolated = true`` in a job file: a launcher that crashes costs its own job, not the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

FARM = """
import os

class FarmLauncher:
    poll_freq = 0
    def __init__(self, job): self.job = job
    def launch(self):
        if self.job.cmd == "crash":
            os.abort()
    def poll(self):
        with open("pids", "a") as file:
            file.write(f"{os.getppid()} {os.getsid(0) == os.getpid()}\\n")
        class PASSED: name = "PASSED"
        return PASSED
    def kill(self): pass
"""

JOBS = """
[backends."legacy:farm:FarmLauncher"]
isolated = true
[jobs.good]
cmd = "good"
[jobs.bad]
cmd = "crash"
needs = ["good"]
[jobs.after]
cmd = "good"
needs = ["good", "bad"]
needs_all_dependencies_passing = false
"""


@pytest.mark.slow
def test_isolated_from_a_job_file(tmp_path: Path) -> None:
    (tmp_path / "farm.py").write_text(FARM)
    (tmp_path / "jobs.toml").write_text(JOBS)
    words = ["run", "jobs.toml", "--backend", "legacy:farm:FarmLauncher", "--pythonpath", "."]
    with subprocess.Popen(
        [sys.executable, "-m", "runtime", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 3, output
    assert "the process of FarmLauncher was ended by SIGABRT, during launch() of job 'bad'" in output
    assert (tmp_path / "pids").read_text() == f"{run.pid} True\n" * 2, output
    (results,) = (tmp_path / "results" / "latest").glob("*.json")
    jobs = {job["id"]: job["status"] for job in json.loads(results.read_text())["jobs"]}
    assert jobs == {"good": "passed", "bad": "killed", "after": "passed"}
