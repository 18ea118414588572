"""A runtime that is to be killed: ``python -m tests.backend.containment_program DIRECTORY MODE ...``.

Runs a hostile job for each mode, whose directories exist already. When all were submitted it says the pids of its
supervisor and of its shims, in a line; then a line for each event: the job's id, its status, the kind of its reason.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import trio

from runtime.backend.local import LocalBackend
from runtime.job import EventBatch, JobCompletionEvent, JobSpec
from tests.process import hostile


async def main(directory: Path, modes: list[str]) -> None:
    send, receive = trio.open_memory_channel[EventBatch](math.inf)
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
        assert backend._driver is not None
        assert backend._driver.guards.supervisors is not None
        supervisor = backend._driver.guards.supervisors.current
        say(supervisor.pid, *[shim.pid for shim in supervisor.pool.shims])
        async for batch in receive:
            for event in batch:
                if isinstance(event, JobCompletionEvent):
                    say(event.job_id, event.status.name, event.reason and event.reason.kind)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2:])
