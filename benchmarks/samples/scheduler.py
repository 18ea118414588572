"""A sample of `scheduler`: a graph of jobs on a backend that completes at once."""

from __future__ import annotations

import argparse
import gc
import json
import time

import trio

from runtime import FakeBackend, JobResult, JobSpec, JobStatus, Scheduler, run_jobs

RUNS = 9
"""For each build."""


def make_specs(jobs: int) -> list[JobSpec]:
    """Return `jobs` specifications, a tenth of them builds on which the others depend."""
    specs = []
    for number in range(jobs // (RUNS + 1)):
        build = f"build{number}"
        specs.append(JobSpec(name=build, cmd="make build"))
        specs += [JobSpec(name=f"{build}.run{run}", cmd="make run", dependencies=(build,)) for run in range(RUNS)]
    return specs


async def as_cli(specs: list[JobSpec], width: int) -> list[JobResult[JobSpec]]:
    """Run as the command line does: see `runtime.cli.gc_threshold.raise_gc_threshold`."""
    gc.set_threshold(50_000, 20, 100)
    scheduler = Scheduler(specs, FakeBackend(), max_parallelism=width)
    gc.freeze()
    return await scheduler.run()


async def as_library(specs: list[JobSpec], width: int) -> list[JobResult[JobSpec]]:
    """Run as a program does that leaves the garbage collector alone."""
    return await run_jobs(specs, FakeBackend(), max_parallelism=width)


def check(specs: list[JobSpec], results: list[JobResult[JobSpec]]) -> None:
    """All have passed, each has its own result, and no run began before its build had ended."""
    assert [result.job for result in results] == specs
    assert all(result.status is JobStatus.PASSED and result.attempt == 1 for result in results)
    for at in range(0, len(results), RUNS + 1):
        ended = results[at].ended
        for result in results[at + 1 : at + 1 + RUNS]:
            assert result.started is not None
            assert result.started >= ended


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int)
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--as-cli", action="store_true")
    options = parser.parse_args()
    specs = make_specs(options.jobs)
    run = as_cli if options.as_cli else as_library
    begin = time.perf_counter()
    results = trio.run(run, specs, options.width)
    seconds = time.perf_counter() - begin
    assert len(specs) == options.jobs
    check(specs, results)
    print(json.dumps({"jobs_per_second": options.jobs / seconds, "microseconds_per_job": 1e6 * seconds / options.jobs}))


if __name__ == "__main__":
    main()
