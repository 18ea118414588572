"""A command of `cli`: HyperQueue's server and one worker in this process run a list of jobs.

Its arguments are ``JOBS WIDTH DIRECTORY LEFT``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from commanding import JOB, first_job
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def main() -> None:
    """Run the jobs; return when all have ended."""
    jobs, width, directory, left = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=width))
        client = cluster.client()
        job = Job(max_fails=None)
        for number in range(jobs):
            log = left / f"job{number}" / "job.log"
            job.program([JOB] if number else first_job(directory), cwd=str(log.parent), stdout=str(log), stderr=None)
        assert client.wait_for_jobs([client.submit(job)])


if __name__ == "__main__":
    main()
