"""DVSim's `SlurmLauncher` with a stand-in for `srun`, with DVSim's jobs and with ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dvsim.launcher.slurm import SlurmLauncher

from runtime import JobSpec
from runtime.backend.legacy import DVSimView
from tests.dvsim.programs.common import main, run_jobs, their_job

SRUN = """#!/bin/sh
while [ "$1" != bash ]; do shift; done
exec "$@"
"""


def facts(directory: Path) -> dict[str, Any]:
    srun = directory / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    os.environ["PATH"] = f"{srun.parent}:{os.environ['PATH']}"
    seen: list[str] = []
    up = directory / "up"
    jobs = [
        JobSpec(name="passes", cmd=["echo", "ALL  GOOD"], pass_patterns=["^ALL  GOOD"]),
        JobSpec(
            name="fails", cmd="echo $WORD; exit 3", exports={"WORD": "out"}, post_finish=lambda s: seen.append(s.name)
        ),
        JobSpec(name="runs", cmd=f"touch {up}; exec sleep 1000", pre_launch=lambda: seen.append("pre_launch")),
        their_job(directory, "theirs", "echo THEIRS", pass_patterns=["^THEIRS"]),
    ]
    run = run_jobs(SlurmLauncher, jobs, kill={"runs": up}, view=DVSimView(directory))
    logs = {name: (directory / name / "job.log").read_text() for name in ("passes", "fails")}
    return {**run, "seen": sorted(seen), "logs": logs}


if __name__ == "__main__":
    main(facts)
