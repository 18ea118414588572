"""A sample of `spawn`: HyperQueue's server and one worker in this process, with tasks that do nothing.

Its client looks once a second whether all is done, so the end is when the last task began to write its log.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
from spawning import Spending


def main() -> None:
    """Measure once."""
    jobs, width = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as directory, LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=width))
        client = cluster.client()
        logs = [Path(directory, f"job{number}", "job.log") for number in range(jobs)]
        job = Job(max_fails=None)
        for log in logs:
            job.program(["/bin/true"], cwd=str(log.parent), stdout=str(log), stderr=None)
        with Spending() as spent:
            begin = time.time()
            assert client.wait_for_jobs([client.submit(job)])
        spent.seconds = max(log.stat().st_mtime for log in logs) - begin
    print()
    print(json.dumps(spent.measures(jobs)))


if __name__ == "__main__":
    main()
