"""A sample of `journal`: what a run with one costs, how long it is, and what it takes to load it.

``--lines`` measures what most programs do instead: a line of JSON for each job.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import trio

from runtime import FakeBackend, JobResult, JobSpec, JobStatus, Scheduler
from runtime.job import FailureKind, JobCompletionEvent, JobPaths, JobStatusInfo, JobUsage
from runtime.journal import JournalFile, JournalWriter, Recorder, read, replay
from runtime.roots import Roots

sys.path.append(str(Path(__file__).resolve().parent))
from scheduler import as_cli, check, make_specs  # type: ignore[import-not-found]  # it is beside this program

RUN_DIR = "/home/user/results/20261126-031415-a0eb68"
BATCH = 1000
"""Completions of a batch, as the scheduler passes them on in a busy run."""

ROUNDS = 3
"""Runs of which the fastest counts."""


def name(number: int) -> str:
    """Return the id of a job, as a matrix makes it."""
    return f"uart_smoke.seed-{number}"


def events(jobs: int) -> Iterator[list[JobCompletionEvent]]:
    """Yield the completions of a night's run in batches; every hundredth job has failed."""
    for first in range(0, jobs, BATCH):
        batch = []
        for number in range(first, min(first + BATCH, jobs)):
            failed = number % 100 == 0
            odir = f"{RUN_DIR}/{name(number)}"
            began = number * 0.0123
            batch.append(
                JobCompletionEvent(
                    name(number),
                    1,
                    JobStatus.FAILED if failed else JobStatus.PASSED,
                    JobStatusInfo(
                        f"UVM_ERROR @ {number} ns: scoreboard mismatch",
                        [number % 977],
                        ["UVM_ERROR"],
                        FailureKind.FAIL_PATTERN,
                    )
                    if failed
                    else None,
                    began,
                    began + 0.0021,
                    began + 61.5 + number % 89 * 0.001,
                    JobUsage(
                        cpu_seconds=60.25 + number % 97 * 0.001,
                        peak_bytes=150_000_000 + number % 8191 * 4096,
                        exit_code=int(failed),
                    ),
                    JobPaths(odir, f"{odir}/job.log", odir),
                )
            )
        yield batch


def as_line(event: JobCompletionEvent) -> str:
    """Return a completion as a line of JSON, without what is not known."""
    reason, usage, paths = event.reason, event.usage, event.paths
    table = {
        "id": event.job_id,
        "attempt": event.attempt,
        "status": event.status.name,
        "submitted": event.submitted,
        "started": event.started,
        "ended": event.ended,
    }
    if reason is not None:
        table |= {"message": reason.message, "kind": reason.kind, "lines": reason.lines, "context": reason.context}
    if usage is not None:
        table |= {"cpu_seconds": usage.cpu_seconds, "peak_bytes": usage.peak_bytes, "exit_code": usage.exit_code}
    if paths is not None:
        table |= {"odir": paths.odir, "log": paths.log}
    return json.dumps(table) + "\n"


async def journaled(specs: list[JobSpec], width: int) -> list[JobResult[JobSpec]]:
    """Run as the command line does, with a journal in a directory of its own."""
    gc.set_threshold(50_000, 20, 100)
    with tempfile.TemporaryDirectory() as directory:
        roots = Roots(directory)
        roots.open()
        async with JournalWriter(JournalFile(roots.run)) as journal:
            recorder = Recorder(journal, directory)
            scheduler = Scheduler(specs, FakeBackend(), max_parallelism=width, journal=recorder)
            gc.freeze()
            results = await scheduler.run()
        assert journal.failure is None
        roots.close()
    return results


def cost(jobs: int, kept: str, rounds: int) -> float:
    """Return the microseconds per job of the fastest of some runs as the command line makes them.

    Args:
        jobs: how many jobs a run has.
        kept: what is kept of a run: a ``journal``, ``lines``, or ``nothing``.
        rounds: how many runs.
    """
    best = float("inf")
    for _ in range(rounds):
        specs = make_specs(jobs)
        begin = time.perf_counter()
        results = trio.run(journaled if kept == "journal" else as_cli, specs, 0)
        if kept == "lines":
            with tempfile.TemporaryFile("w") as file:
                file.writelines(as_line(result.event) for result in results)
        best = min(best, time.perf_counter() - begin)
        check(specs, results)
    return 1e6 * best / jobs


async def write(jobs: int, directory: str) -> None:
    """Write the journal of a run that has the completions of `events`."""
    roots = Roots(directory)
    roots.open()
    async with JournalWriter(JournalFile(roots.run)) as journal:
        recorder = Recorder(journal, RUN_DIR)
        recorder.begin("token", 1.7e9)
        for first in range(0, jobs, BATCH):
            recorder.add(
                JobSpec(name=name(number), cmd="make run") for number in range(first, min(first + BATCH, jobs))
            )
        for batch in events(jobs):
            recorder.starting("local", [event.job_id for event in batch], [1] * len(batch), batch[0].submitted)
            recorder.ended(batch)
            await journal.written()
        recorder.end(1e6)
    assert journal.failure is None
    roots.close()


def write_lines(jobs: int, directory: str) -> None:
    """Write the same completions, a line each."""
    with open(os.path.join(directory, "lines.jsonl"), "w") as file:
        file.writelines(as_line(event) for batch in events(jobs) for event in batch)


def load(path: str) -> int:
    """Load a journal; return the number of jobs that have passed."""
    found = read(path)
    assert found.note is None
    state = replay(found.records)
    assert state.is_complete
    return sum(status is JobStatus.PASSED for status in state.statuses)


def load_lines(path: str) -> int:
    """Load a file of lines; return the number of jobs that have passed."""
    with open(path) as file:
        jobs = [json.loads(line) for line in file]
    return sum(job["status"] == "PASSED" for job in jobs)


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int)
    parser.add_argument("--lines", action="store_true")
    parser.add_argument(
        "--cost", choices=["journal", "lines", "nothing"], help="of runs; else it is written, and loaded"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs for --cost, of which the fastest counts")
    parser.add_argument("--write", metavar="DIRECTORY", help="only write it")
    options = parser.parse_args()
    if options.write is not None:
        if options.lines:
            write_lines(options.jobs, options.write)
        else:
            trio.run(write, options.jobs, options.write)
        return
    if options.cost is not None:
        print(
            json.dumps(
                {
                    "microseconds_per_job": (found := cost(options.jobs, options.cost, options.rounds)),
                    "jobs_per_second": 1e6 / found,
                }
            )
        )
        return
    with tempfile.TemporaryDirectory() as directory:
        # In a process of its own, because the memory of this one is measured.
        subprocess.run([sys.executable, *sys.argv, "--write", directory], check=True)
        (path,) = (str(path) for path in Path(directory).glob("*.jsonl"))
        size = os.stat(path).st_size
        begin = time.perf_counter()
        passed = (load_lines if options.lines else load)(path)
        seconds = time.perf_counter() - begin
    assert passed == options.jobs - len(range(0, options.jobs, 100))
    print(json.dumps({"load_seconds": seconds, "bytes_per_job": size / options.jobs}))


if __name__ == "__main__":
    main()
