"""A sample of `adapter`: launchers that cost nothing, and pass at their first poll."""

from __future__ import annotations

import json
import sys
import time

import trio

from runtime import JobSpec, JobStatus, LegacyLauncherAdapter, run_jobs


class Bare:
    """What a launcher must have, and no more."""

    poll_freq = 0

    def __init__(self, job: JobSpec) -> None:
        """Take the job."""

    def launch(self) -> None:
        """Do nothing."""

    def poll(self) -> JobStatus:
        """Pass."""
        return JobStatus.PASSED

    def kill(self) -> None:
        """Be there."""


def main() -> None:
    """Measure once."""
    specs = [JobSpec(name=f"job{number}", cmd="make run") for number in range(int(sys.argv[1]))]
    begin = time.perf_counter()
    results = trio.run(run_jobs, specs, LegacyLauncherAdapter(Bare))
    seconds = time.perf_counter() - begin
    assert [result.job for result in results] == specs
    assert all(result.status is JobStatus.PASSED for result in results)
    print(json.dumps({"microseconds_per_job": 1e6 * seconds / len(specs)}))


if __name__ == "__main__":
    main()
