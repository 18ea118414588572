"""DVSim's `LsfLauncher`, which reads attributes of a job that DVSim's jobs no longer have: it cannot be constructed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvsim.launcher.lsf import LsfLauncher

from runtime import JobSpec
from tests.dvsim.programs.common import main, run_jobs, their_job


def facts(directory: Path) -> dict[str, Any]:
    jobs: list[Any] = [their_job(directory, f"j{i}", "true") for i in range(3)]
    return run_jobs(LsfLauncher, [*jobs, JobSpec(name="mine", cmd="true")])


if __name__ == "__main__":
    main(facts)
