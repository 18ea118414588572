"""A sample of `slurm`: one array of jobs, as one would submit it by hand, and a loop that waits for its end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INTERVAL = 0.5
"""Seconds between two looks."""


def call(*command: str) -> str:
    """Run a program of Slurm's; return what it says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Measure once."""
    jobs = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        array = ("--parsable", f"--array=1-{jobs}", f"--output={directory}/%a.log", "--wrap=echo passed")
        begin = time.perf_counter()
        number = call("sbatch", *array)
        while call("squeue", "--noheader", "--format=%i", f"--jobs={number}"):
            time.sleep(INTERVAL)
        seconds = time.perf_counter() - begin
        logs = [Path(directory, f"{index}.log").read_text() for index in range(1, jobs + 1)]
        assert logs == ["passed\n"] * jobs
    print(json.dumps({"ms_per_job": 1000 * seconds / jobs}))


if __name__ == "__main__":
    main()
