"""A program of its own: runs jobs again and again, each time with one descriptor more.

Arguments: a directory, the containment, how many jobs, all of which may run at once; the first and the last number
of descriptors above those in use; for how many seconds a job may be refused. Prints, for each number, how each job
ended, and which descriptors are open when all is over.
"""

from __future__ import annotations

import json
import os
import resource
import sys

import trio

from tests.backend import out_of_resources_program


def main() -> None:
    """Run."""
    directory, containment, count, first, last, busy_timeout = sys.argv[1:]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = out_of_resources_program.in_use(resource.RLIMIT_NOFILE)
    found = {}
    for spare in range(int(first), int(last) + 1):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit + spare, before[1]))
        arguments = f"{directory}/{spare}", containment, int(count), float(busy_timeout)
        ends, _ = trio.run(out_of_resources_program.main, *arguments)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        found[spare] = ends, sorted(map(int, os.listdir("/proc/self/fd")))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
