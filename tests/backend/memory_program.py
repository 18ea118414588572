"""A program of its own, which moves into a memory cgroup that is given to it, and runs a job that needs more.

Arguments: the run directory, the cgroup. Prints for each of its jobs the kind of failure and the message, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trio

from runtime import JobSpec, LocalBackend, run_jobs

HUNGRY = [sys.executable, "-I", "-S", "-c", "b'x' * 1_000_000_000"]


async def main(run_dir: str) -> list[list[str]]:
    """Run them, one after the other."""
    jobs = [
        JobSpec(name="hungry", cmd=HUNGRY),
        JobSpec(name="killed", cmd="kill -9 $$", weight=0),
        JobSpec(name="in a shell", cmd=f'{" ".join(HUNGRY[:4])} "{HUNGRY[4]}"; exit $?', weight=-1),
    ]
    results = await run_jobs(jobs, LocalBackend(1, run_dir))
    return [
        [result.status.name, str(result.reason and result.reason.kind), str(result.reason and result.reason.message)]
        for result in results
    ]


if __name__ == "__main__":
    (Path(sys.argv[2]) / "cgroup.procs").write_text("0")
    sys.stdout.write(json.dumps(trio.run(main, sys.argv[1])))
