"""A program of its own, with a terminal of its own: what does a job see of that?

``python -m tests.backend.terminal_program DIRECTORY CONTAINMENT``
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

from tests.backend.local_jobs import local

LOOK = "(exec 3< /dev/tty) 2> /dev/null && echo terminal || echo none; tty; cat; read line; echo read $?"


async def main(directory: Path, containment: str) -> str:
    os.close(os.open("/dev/tty", os.O_RDONLY))  # here it is
    async with local(directory, containment=containment) as here:
        await here.run(LOOK)
    return here.log()


if __name__ == "__main__":
    sys.stdout.write(trio.run(main, Path(sys.argv[1]), sys.argv[2]))
