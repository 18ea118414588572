"""A process that takes the lock of a run directory: ``python -m … DIRECTORY``. Its standard input says when."""

from __future__ import annotations

import os
import sys
import time

from runtime.errors import JournalLockedError
from runtime.journal.lock import JournalLock, acquire
from runtime.roots import RootedPath, Roots


def struggle(directory: RootedPath, times: int) -> str:
    """Take and release the lock `times` times; while it is taken, no other process may have it."""
    path = os.path.join(str(directory), "owner")
    while times:
        try:
            lock = acquire(directory)
        except JournalLockedError:
            continue
        with lock:
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return "shared"
            os.sched_yield()
            os.unlink(path)
        times -= 1
    return "never shared"


def take(directory: RootedPath) -> tuple[JournalLock | None, str]:
    """Return the lock, if it is free, and what to answer."""
    try:
        return acquire(directory), "taken"
    except JournalLockedError as exc:
        return None, str(exc)


def main() -> None:
    roots = Roots(sys.argv[1])
    roots.open()
    lock: JournalLock | None = None
    for line in sys.stdin:
        order, *words = line.split()
        if order == "struggle":
            answer = struggle(roots.run, int(words[0]))
        elif order in {"acquire", "now"}:
            lock, answer = take(roots.run)
        elif order == "release":
            if lock is not None:
                lock.release()
            lock, answer = None, "released"
        elif order == "fork":
            begun, begin = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(begin, b"x")
                while True:  # it executes no program, as a child of `multiprocessing`
                    time.sleep(60)
            os.read(begun, 1)
            answer = str(child)
        else:
            answer = "ready"
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
