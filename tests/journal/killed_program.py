"""Appends to a journal until it is killed: ``python -m … DIRECTORY``.

Each line of its standard input is a number: it forks a child, which takes the lock and appends records with this number
and the following. The child writes the number of each record that was acknowledged; the parent writes the pid of the
child before, and ``dead`` after its death. It forks because starting an interpreter takes longer than all the rest.
"""

from __future__ import annotations

import os
import random
import sys

import trio

from runtime.journal.disk import JournalFile
from runtime.journal.lock import acquire
from runtime.journal.writer import JournalWriter
from runtime.roots import Roots
from tests.journal.disks import job


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())  # one call, so that a line is whole or missing


async def append(directory: str, number: int) -> None:
    roots = Roots(directory)
    roots.open()
    with acquire(roots.run):
        async with JournalWriter(JournalFile(roots.run), sync_interval=0.001) as journal:
            while True:
                for _ in range(random.randrange(1, 20)):
                    journal.append(job(number))
                    number += 1
                    if random.random() < 0.2:
                        await trio.lowlevel.checkpoint()  # the thread may write some of them
                if random.random() < 0.5:
                    assert await journal.durable()
                    say(str(number - 1))


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            trio.run(append, sys.argv[1], int(line))
            os._exit(1)  # it runs until it is killed
        say(str(child))
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    main()
