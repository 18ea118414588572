"""Runs the same jobs on the farm twice, with the old launcher and with the new backend, and prints the costs.

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
    """Make jobs that take half a second; every fifth fails, the others pass."""
    return [
        JobSpec(
            name=f"sim.{i}",
            cmd=f"sleep 0.5; echo TEST {'FAILED' if i % 5 == 4 else 'PASSED'}",
            pass_patterns=["^TEST PASSED"],
            odir=str(directory / f"sim.{i}"),
        )
        for i in range(count)
    ]


def run_on_farm(backend: RuntimeBackend, count: int) -> tuple[list[JobResult[JobSpec]], Counter[str]]:
    """Run `count` jobs on a new farm; return their results, and how often each command of the farm was called."""
    with tempfile.TemporaryDirectory(prefix="farm-") as name:
        os.environ["FARM"] = name
        results = trio.run(run_jobs, jobs(Path(name) / "out", count), backend)
        calls = Counter(line.split()[0] for line in (Path(name) / "asked").read_text().splitlines())
    return results, calls


def main(count: int) -> None:
    """Run both and print the results."""
    for backend in (LegacyLauncherAdapter(FarmLauncher), FarmBackend()):
        results, calls = run_on_farm(backend, count)
        passed = sum(result.status.name == "PASSED" for result in results)
        print(f"{type(backend).__name__}: {passed} of {count} passed; calls of the farm: {dict(calls)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
