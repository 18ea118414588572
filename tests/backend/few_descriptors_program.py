"""A program of its own: runs jobs again and again, each time with one descriptor more.

Arguments: a directory, the containment, how many jobs, all of which may run at once; the first room and the last one,
in descriptors above those in use; for how long a job may be refused, s. Prints, for each room, how each job ended, and
which descriptors are open when all is over.
"""

from __future__ import annotations

import json
import os
import resource
import sys

import trio

from tests.backend import no_room_program


def main() -> None:
    """Run."""
    directory, containment, count, first, last, patience = sys.argv[1:]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = no_room_program.in_use(resource.RLIMIT_NOFILE)
    found = {}
    for room in range(int(first), int(last) + 1):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit + room, before[1]))
        ends, _ = trio.run(no_room_program.main, f"{directory}/{room}", containment, int(count), float(patience))
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        found[room] = ends, sorted(map(int, os.listdir("/proc/self/fd")))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
