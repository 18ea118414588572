"""A sample of `spawn`: programs that start others. Each says by its exit code whether all of those have passed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from spawning import Spending

JOB = "/bin/true"


def main() -> None:
    """Measure once: ``c PROGRAM JOBS WIDTH``, ``c+logs PROGRAM …``, ``xargs JOBS WIDTH``, ``parallel …``."""
    how, *program, jobs, width = sys.argv[1:]
    numbers = "".join(f"{number}\n" for number in range(int(jobs))).encode()
    with tempfile.TemporaryDirectory() as directory:
        commands = {
            "c": [*program, jobs, width],
            "c+logs": [*program, jobs, width, directory],
            "xargs": ["xargs", f"-P{width}", "-n1", JOB],
            "parallel": ["parallel", "--will-cite", f"-j{width}", "--results", directory, JOB],
        }
        with Spending() as spent:
            done = subprocess.run(commands[how], input=numbers, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        if how in {"c+logs", "parallel"}:
            name = {"c+logs": "job.log", "parallel": "stdout"}[how]
            assert len(list(Path(directory).rglob(name))) == int(jobs)
    print(json.dumps(spent.measures(int(jobs))))


if __name__ == "__main__":
    main()
