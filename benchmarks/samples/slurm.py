"""A sample of `slurm`: short jobs on a cluster, each with a directory, a log, and a verdict from it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import trio

from runtime import JobSpec, JobStatus, SlurmBackend, run_jobs


def main() -> None:
    """Measure once."""
    jobs = int(sys.argv[1])
    specs = [JobSpec(name=f"job{number}", cmd="echo passed", pass_patterns=["^passed$"]) for number in range(jobs)]
    with tempfile.TemporaryDirectory() as directory:
        begin = time.perf_counter()
        results = trio.run(run_jobs, specs, SlurmBackend(directory))
        seconds = time.perf_counter() - begin
        assert [result.job for result in results] == specs
        assert all(result.status is JobStatus.PASSED for result in results), results
        assert all(Path(directory, spec.name, "job.log").is_file() for spec in specs)
    print(json.dumps({"ms_per_job": 1000 * seconds / jobs}))


if __name__ == "__main__":
    main()
