"""Runs a job that becomes another user, kills it, runs another job, and prints the results of the two.

``python -m tests.backend.other_users_program DIRECTORY USER CONTAINMENT``
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import trio

from runtime.job import JobCompletionEvent, JobSpec
from tests.backend.local_jobs import hear, local


def result(event: JobCompletionEvent) -> list[str | None]:
    reason = event.reason
    return [event.status.name, *((None, None) if reason is None else (reason.kind, reason.message))]


async def main(directory: Path, user: str, containment: str) -> None:
    fifo = directory.parent / "fifo"
    os.mkfifo(fifo, 0o622)
    os.chmod(fifo, 0o622)
    stay = f"exec 3>{fifo}; exec setpriv --reuid={user} --clear-groups sh -c 'echo ready >&3; exec sleep 1000 3>&-'"
    async with local(directory, containment=containment, term_timeout=0.05, kill_timeout=0.05) as here:
        handles = await here.session.submit([JobSpec(name="stays", cmd=stay, cwd="/")])
        await hear(fifo)
        await here.backend.kill("stays")
        events = [await here.session.completed(handles["stays"]), await here.run(name="other")]
    json.dump([result(event) for event in events], sys.stdout)


if __name__ == "__main__":
    _, directory, user, containment = sys.argv
    trio.run(main, Path(directory), user, containment)
