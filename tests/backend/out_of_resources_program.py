"""A program of its own, for an ordinary user: runs jobs while resources are short.

Arguments: the run directory, the containment, how many jobs, all of which may run at once; a limit (``RLIMIT_NPROC``,
``RLIMIT_NOFILE``, ``RLIMIT_AS``), and how much there is above what is in use; for how long a job may be refused, and a
verdict wait for resources, s.
Prints how each job ended, what was logged, and which descriptors are open when all is over.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import trio

from runtime import JobSpec, LocalBackend, run_jobs
from runtime.backend import verdict_pool


class Recorder(logging.Handler):
    """Keeps the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.texts.append(record.getMessage())


def in_use(limit: int) -> int:
    """What counts against the limit: threads of this user, descriptors of this process, or its bytes of address."""
    if limit == resource.RLIMIT_NOFILE:
        return max(map(int, os.listdir("/proc/self/fd"))) + 1
    if limit == resource.RLIMIT_AS:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    found = 0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == os.getuid():
                found += len(os.listdir(f"/proc/{pid}/task"))
    return found


async def main(run_dir: str, containment: str, count: int, busy_timeout: float) -> list[object]:
    """Run the jobs; return how each ended, and what was logged."""
    log = Recorder()
    logger = logging.getLogger("runtime.backend")
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    jobs = [
        JobSpec(name=f"job{number}", cmd="echo done; exec sleep 0.1", pass_patterns=["done"]) for number in range(count)
    ]
    results = await run_jobs(jobs, LocalBackend(count, run_dir, containment=containment), busy_timeout=busy_timeout)
    ends = [
        [result.status.name, str(result.reason and result.reason.kind), result.reason and result.reason.message]
        for result in results
    ]
    return [ends, log.texts]


if __name__ == "__main__":
    path, which, many, limited, spare, timeout = sys.argv[1:]
    number = getattr(resource, limited)
    verdict_pool._RESOURCE_TIMEOUT = float(timeout)  # type: ignore[misc]  # final for others
    Path(path).mkdir(exist_ok=True)
    resource.setrlimit(number, (in_use(number) + int(spare), resource.getrlimit(number)[1]))
    result = trio.run(main, path, which, int(many), float(timeout))
    sys.stdout.write(json.dumps([*result, sorted(map(int, os.listdir("/proc/self/fd")))]))
