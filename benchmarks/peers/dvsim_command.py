"""A command of `cli`: DVSim's scheduler runs a list of jobs. Not DVSim's own command, which runs nothing but flows.

Its arguments are ``JOBS WIDTH DIRECTORY LEFT``, or ``JOBS`` for DVSim's fake backend.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path

from commanding import JOB, first_job
from dvsim.runtime.fake import FakeRuntimeBackend
from dvsim.runtime.local import LocalRuntimeBackend
from dvsim_jobs import make_spec, run


def main() -> None:
    """Run the jobs; return when all have ended."""
    jobs = int(sys.argv[1])
    if len(sys.argv) == 2:
        asyncio.run(run([make_spec(f"job{number}") for number in range(jobs)], FakeRuntimeBackend()))
        return
    width, directory, left = int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    first = shlex.join(first_job(directory))
    specs = [make_spec(f"job{number}", root=left, cmd=JOB if number else first) for number in range(jobs)]
    asyncio.run(run(specs, LocalRuntimeBackend(max_parallelism=0), width))


if __name__ == "__main__":
    main()
