"""A program that submits jobs to Slurm, reports that, and waits to be killed: ``python -m … RUN_DIR RUN_TOKEN
COUNT``.
"""

from __future__ import annotations

import sys

import trio

from runtime.backend.slurm import SlurmBackend
from runtime.job import EventBatch, JobSpec


def jobs(directory: str, count: int) -> list[JobSpec]:
    """Return jobs that record when they begin, and end when a file exists."""
    begin = f'echo begun >>{directory}/"$NAME".starts; until [ -e {directory}/go ]; do sleep 0.02; done'
    return [JobSpec(name=f"job{n}", cmd=begin, exports={"NAME": f"job{n}"}) for n in range(count)]


async def main(directory: str, token: str, count: int) -> None:
    """Submit the jobs, and wait for ever."""
    send, _receive = trio.open_memory_channel[EventBatch](1000)
    async with SlurmBackend(f"{directory}/run", poll_interval=0.05).open(send, token) as backend:
        await backend.submit_many(jobs(directory, count))
        sys.stdout.write("submitted\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
