"""Runs the same jobs on the farm twice, through the old launcher and on the new backend, and says what that took.

python -m examples.moving_over [JOBS]
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import trio

from examples.moving_over.backend import FarmBackend
from examples.moving_over.launcher import FarmLauncher
from runtime import JobResult, JobSpec, LegacyLauncherAdapter, RuntimeBackend, run_jobs


def jobs(directory: Path, count: int) -> list[JobSpec]:
    """Jobs that take half a second and pass, all but every fifth."""
    return [
        JobSpec(
            name=f"sim.{i}",
            cmd=f"sleep 0.5; echo TEST {'FAILED' if i % 5 == 4 else 'PASSED'}",
            pass_patterns=["^TEST PASSED"],
            odir=str(directory / f"sim.{i}"),
        )
        for i in range(count)
    ]


def run_on_farm(backend: RuntimeBackend, count: int) -> tuple[list[JobResult], Counter[str]]:
    """Run so many jobs on a fresh farm; return how they ended, and how often the farm was asked for what."""
    with tempfile.TemporaryDirectory(prefix="farm-") as name:
        os.environ["FARM"] = name
        results = trio.run(run_jobs, jobs(Path(name) / "out", count), backend)
        asked = Counter(line.split()[0] for line in (Path(name) / "asked").read_text().splitlines())
    return results, asked


def main(count: int) -> None:
    """Show both."""
    for backend in (LegacyLauncherAdapter(FarmLauncher), FarmBackend()):
        results, asked = run_on_farm(backend, count)
        passed = sum(result.status.name == "PASSED" for result in results)
        print(f"{type(backend).__name__}: {passed} of {count} passed; the farm was asked {dict(asked)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
