"""A sample of `cli`: the command line runs a list of jobs, from the start of the command to its exit.

The jobs are a TOML file, of tables with a thousand seeds each, or JSON lines on standard input, a job a line.
``--in-process`` calls the command line in this process, so that its instructions can be counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "peers"))
from commanding import JOB, first_job, measured

SEEDS = 1000
"""Jobs of a table."""


def toml(jobs: int, first: list[str]) -> str:
    """Return a job file with so many jobs."""
    tables = [f"[jobs.first]\ncmd = {json.dumps(first)}"]
    left = jobs - 1
    while left:
        count = min(SEEDS, left)
        left -= count
        tables.append(f'[jobs.test{len(tables)}]\ncmd = ["{JOB}", "+seed={{seed}}"]\nseeds = {count}')
    return "\n".join([*tables, ""])


def lines(jobs: int, first: list[str]) -> str:
    """Return as many jobs as JSON lines."""
    tests = ({"name": f"test{number}", "cmd": [JOB, f"+seed={number}"]} for number in range(1, jobs))
    return "".join(f"{json.dumps(job)}\n" for job in ({"name": "first", "cmd": first}, *tests))


def check(left: Path, jobs: int) -> None:
    """All have passed."""
    results = json.loads((left / "latest" / "results.json").read_text())
    assert results["counts"]["passed"] == len(results["jobs"]) == jobs, results["counts"]


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int)
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--in-process", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        directory, left = Path(place), Path(place, "results")
        first = [JOB] if options.fake else first_job(directory)
        file = directory / "jobs.toml"
        file.write_text((lines if options.lines else toml)(options.jobs, first))
        arguments = ["run", "-" if options.lines else str(file), "--out", str(left)]
        arguments += ["--backend", "fake"] if options.fake else ["--max-parallel", str(options.width)]
        if options.in_process:
            from runtime.cli.main import main as command_line

            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                assert command_line(arguments) == 0
            measures = {"jobs": float(options.jobs)}
        else:
            command = [sys.executable, "-m", "runtime", *arguments]
            measures = measured(command, options.jobs, directory, left, str(file) if options.lines else os.devnull)
        check(left, options.jobs)
    print(json.dumps(measures))


if __name__ == "__main__":
    main()
