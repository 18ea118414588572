"""A sample of `slurm`: DVSim's launcher for Slurm, on DVSim's adapter and scheduler."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

# What the launcher asks Slurm for, read when it is imported: as little as our jobs do.
os.environ.update(SLURM_QUEUE="main", SLURM_MEM="100M", SLURM_MINCPUS="1", SLURM_CPUS_PER_TASK="1", SLURM_TIMEOUT="10")

from dvsim.launcher.slurm import SlurmLauncher
from dvsim.runtime.legacy import LegacyLauncherAdapter
from dvsim_jobs import make_spec, run


def main() -> None:
    """Measure once."""
    jobs = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        specs = [
            make_spec(f"job{number}", root=root, cmd="echo passed", passing=["^passed"], job_type="other")
            for number in range(jobs)
        ]
        seconds = asyncio.run(run(specs, LegacyLauncherAdapter(SlurmLauncher)))
        assert all("passed\n" in spec.log_path.read_text() for spec in specs)
    print(json.dumps({"ms_per_job": 1000 * seconds / jobs}))


if __name__ == "__main__":
    main()
