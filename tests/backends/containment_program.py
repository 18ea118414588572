"""A runtime that is to be killed: ``python -m tests.backends.containment_program DIRECTORY MODE ...``.

Runs a hostile job for each mode, whose hostages are made already; says the pid of its keeper when all were submitted.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import trio

from runtime.backends.local import LocalBackend
from runtime.job import EventBatch, JobSpec
from tests.process import hostile


async def main(directory: Path, modes: list[str]) -> None:
    send, _receive = trio.open_memory_channel[EventBatch](math.inf)
    backend = LocalBackend(0, directory / "run", containment="tree")
    async with backend.open(send):
        jobs = [
            JobSpec(
                name=f"{number}-{mode}",
                cmd=[sys.executable, "-I", "-S", hostile.__file__, mode, str(directory / f"{number}-{mode}")],
            )
            for number, mode in enumerate(modes)
        ]
        await backend.submit_many(jobs)
        assert backend._keepers is not None
        sys.stdout.write(f"{backend._keepers.current.pid}\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2:])
