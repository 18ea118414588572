"""A program of its own, for a user with a limit: runs a fork bomb that uses up all processes, and ends it.

``python -m tests.backend.bomb_program DIRECTORY CONTAINMENT PERL WAY``, which is ``kill`` or ``end its shim``. Prints,
as JSON, why the last of the jobs that were submitted meanwhile was refused, and the results of the bomb and of the next
job.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import trio

from runtime.job import JobCompletionEvent, JobSpec
from tests.backend.local_jobs import local


def result(event: JobCompletionEvent) -> list[str | None]:
    return [event.status.name, None if event.reason is None else event.reason.message]


async def main(directory: Path, containment: str, bomb: str, way: str) -> list[object]:
    async with local(directory, containment=containment, term_timeout=0.05, kill_timeout=5) as here:
        handles = await here.session.submit([JobSpec(name="bomb", cmd=["perl", "-e", bomb])])
        supervisors = here.driver.guards.supervisors
        shim = None if supervisors is None else supervisors.current.pool.shims[0].pid
        number = 0
        while await here.session.submit([JobSpec(name=f"other{number}", cmd="true")]):
            number += 1
        busy = here.backend.busy_because
        if way == "kill":
            await here.backend.kill("bomb")
        else:
            os.kill(shim or 0, signal.SIGKILL)
        event = await here.session.completed(handles["bomb"])
        return [busy, result(event), result(await here.run(name="next"))]
    raise AssertionError


if __name__ == "__main__":
    _, directory, containment, bomb, way = sys.argv
    json.dump(trio.run(main, Path(directory), containment, bomb, way), sys.stdout)
