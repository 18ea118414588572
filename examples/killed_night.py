"""A night of 200 jobs that is killed halfway and resumed: what is kept, what is lost, and what runs again.

    python examples/killed_night.py

Ten builds, 190 tests that need one of them, and 19 tests that fail. SIGKILL comes when half of the jobs have begun.
docs/killed-night.md compares the output with what other tools do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BUILDS = 10
TESTS = 190
JOBS = BUILDS + TESTS
FAILS = 7
"""Tests with this last digit fail."""


def write_job_file(directory: Path) -> None:
    """Each job notes its id in the file ``begun``, and takes a moment."""
    jobs: dict[str, Any] = {}
    for number in range(BUILDS):
        jobs[f"build{number}"] = {"cmd": f"echo {{id}} >>{directory}/begun; sleep 0.05; echo {number} >{{odir}}/sim"}
    for number in range(TESTS):
        build = f"build{number // (TESTS // BUILDS)}"
        test = f"echo {{id}} >>{directory}/begun; sleep 0.05; test -e {{run_dir}}/{build}/sim"
        jobs[f"test{number}"] = {"cmd": f"{test}; exit {int(number % 10 == FAILS)}", "needs": [build]}
    (directory / "night.json").write_text(json.dumps({"jobs": jobs}))


def begun(directory: Path) -> Counter[str]:
    """Return how often each job has begun."""
    path = directory / "begun"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def job_runtime(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run a command to its end; return its exit code and what it prints."""
    words = [sys.executable, "-m", "runtime", *arguments]
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def jobs_now(directory: Path) -> dict[str, dict[str, Any]]:
    """Return the jobs of the latest run, as its journal tells, by id."""
    _, text = job_runtime(directory, "report", "--json")
    return {job["id"]: job for job in json.loads(text)["jobs"]}


def kill_at_half(directory: Path) -> None:
    """Run the night, and kill it when half of the jobs have begun."""
    words = [sys.executable, "-m", "runtime", "run", "night.json", "--max-parallel", "8"]
    program = subprocess.Popen(words, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while program.poll() is None and begun(directory).total() < JOBS // 2:
        time.sleep(0.01)
    os.kill(program.pid, signal.SIGKILL)
    program.wait()


def ids_with(jobs: Mapping[str, dict[str, Any]], status: str) -> set[str]:
    """Return the ids of the jobs with a status."""
    return {job_id for job_id, job in jobs.items() if job["status"] == status}


def main() -> None:
    """Run the night, and print what became of its jobs."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_job_file(directory)
        print(f"night:  {JOBS} jobs, {BUILDS} of them builds; {TESTS // 10} tests fail")

        kill_at_half(directory)
        jobs = jobs_now(directory)
        first, passed, failed = begun(directory), ids_with(jobs, "passed"), ids_with(jobs, "failed")
        in_flight = len(first) - len(passed) - len(failed)
        print(f"killed: {len(first)} had begun: {len(passed)} passed, {len(failed)} failed, {in_flight} in flight")

        code, _ = job_runtime(directory, "run", "night.json", "--resume")
        second, jobs = begun(directory) - first, jobs_now(directory)
        again = sum(second[job_id] for job_id in passed)
        print(f"resume: {len(passed)} kept, {len(second)} ran; of what had passed {again} ran again")
        passed, failed = ids_with(jobs, "passed"), ids_with(jobs, "failed")
        ends = f"{len(passed)} passed, {len(failed)} failed; exit code {code}"
        print(f"        {len(jobs)} results, each job once: {ends}")

        job_runtime(directory, "run", "night.json", "--rerun")
        third = begun(directory) - first - second
        builds = sum(job_id.startswith("build") for job_id in third)
        print(f"rerun:  {len(third) - builds} that did not pass, and {builds} of the builds, which they need")


if __name__ == "__main__":
    main()
