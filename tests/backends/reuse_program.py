"""A program of its own, in a PID namespace of its own: the number of a job's root is given to a stranger at once.

``python -m tests.backends.reuse_program DIRECTORY CONTAINMENT``, as root. Prints, as JSON, for each job: its status,
the number of its root, that of the stranger, and whether the stranger lived on at each moment at which a signal could
have reached it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import trio
import trio.testing

from runtime.job import JobSpec, JobStatus
from tests.backends.local_jobs import Local, hear, local

NEXT = Path("/proc/sys/kernel/ns_last_pid")

STUBBORN = """
setsid sh -c "trap '' TERM; echo $$ > fifo; while :; do sleep 0.01; done" &
exec sleep 1000
"""
"""The root ends by SIGTERM, and what is left of the job has a group of its own, so the root's number is free."""


@attrs.define
class Stranger:
    """Takes the number of a root. It leads a group and a session, as that did, and would end by any signal."""

    root: int = 0
    pid: int = 0
    lived: list[bool] = attrs.field(factory=list)
    process: subprocess.Popen[bytes] | None = None

    def take(self, root: int) -> None:
        """Be born with a number that is free."""
        NEXT.write_text(str(root - 1))
        self.process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        self.root, self.pid = root, self.process.pid

    def look(self) -> None:
        """Note whether it lives."""
        assert self.process is not None
        self.lived.append(self.process.poll() is None)

    def end(self, status: JobStatus) -> list[object]:
        """Return what to print."""
        self.look()
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return [status.name, self.root, self.pid, self.lived]


async def ends_by_itself(here: Local, nursery: trio.Nursery, stranger: Stranger) -> JobStatus:
    """Nothing is left of the job, and its end is not told yet; then it is killed, and later once more."""
    token = trio.lowlevel.current_trio_token()

    def kill() -> None:
        nursery.start_soon(here.backend.kill, "job")

    def between(_status: JobStatus) -> None:
        stranger.take(int(here.log()))
        trio.from_thread.run_sync(kill, trio_token=token)
        trio.from_thread.run(trio.testing.wait_all_tasks_blocked, trio_token=token)
        stranger.look()

    handles = await here.session.submit([JobSpec(name="job", cmd="echo $$", post_finish=between)])
    event = await here.session.completed(handles["job"])
    stranger.look()
    await here.backend.kill(handles["job"], force=True)
    return event.status


async def ends_root_first(here: Local, nursery: trio.Nursery, stranger: Stranger) -> JobStatus:
    """The root has ended by the gentle part of a kill, and something of the job has not; then that is forced."""
    fifo = here.run_dir / "stubborn" / "fifo"
    fifo.parent.mkdir()
    os.mkfifo(fifo)
    handles = await here.session.submit([JobSpec(name="stubborn", cmd=STUBBORN)])
    root = int(await hear(fifo))
    nursery.start_soon(here.backend.kill, "stubborn")
    while Path(f"/proc/{root}").exists():  # noqa: ASYNC110 - a process that is not ours has no event
        await trio.sleep(0.001)
    stranger.take(root)
    await here.backend.kill("stubborn", force=True)
    stranger.look()
    return (await here.session.completed(handles["stubborn"])).status


async def main(directory: Path, containment: str) -> list[list[object]]:
    strangers = []
    # Without a limit to the gentle part.
    async with local(directory, containment=containment, term_timeout=0, kill_timeout=30) as here:
        async with trio.open_nursery() as nursery:
            for play in [ends_by_itself, *([ends_root_first] if containment == "tree" else [])]:
                stranger = Stranger()
                strangers.append((stranger, await play(here, nursery, stranger)))
    return [stranger.end(status) for stranger, status in strangers]


if __name__ == "__main__":
    json.dump(trio.run(main, Path(sys.argv[1]), sys.argv[2]), sys.stdout)
