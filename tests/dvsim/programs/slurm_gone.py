"""DVSim's `SlurmLauncher` where no controller answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvsim.launcher.slurm import SlurmLauncher

from tests.dvsim.programs.common import main, run_jobs, their_job


def facts(directory: Path) -> dict[str, Any]:
    return run_jobs(SlurmLauncher, [their_job(directory, f"j{i}", "true") for i in range(3)])


if __name__ == "__main__":
    main(facts)
