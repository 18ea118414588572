"""A sample of `spawn`: jobs that do nothing, as processes, each with a directory, a log and a verdict."""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

from runtime import JobSpec, JobStatus, LocalBackend, run_jobs

sys.path.append(str(Path(__file__).resolve().parent.parent / "peers"))
from spawning import FAILING, Spending


def main() -> None:
    """Measure once."""
    jobs, width, containment = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    specs = [JobSpec(name=f"job{number}", cmd=["/bin/true"], fail_patterns=FAILING) for number in range(jobs)]
    with tempfile.TemporaryDirectory() as directory:
        with Spending() as spent:
            backend = LocalBackend(width, directory, containment=containment)
            results = trio.run(partial(run_jobs, specs, backend))
        assert [result.job for result in results] == specs
        assert all(result.status is JobStatus.PASSED for result in results)
        assert all(Path(directory, spec.name, "job.log").is_file() for spec in specs)
    print(json.dumps(spent.measures(jobs)))


if __name__ == "__main__":
    main()
