"""A program of its own: the process id of a job's root is reused at once, by a process that is not the job's.

``python -m tests.backend.reuse_program DIRECTORY CONTAINMENT [renumber]``, as root in a PID namespace of its own,
where the next process id can be chosen. Where it cannot, say ``renumber``: when the root of a job is reaped, its id in
our objects is replaced by that of the other process; only for containment ``group``. Prints, as JSON, for each job: its
status, the id of its root, the id of the other process, and whether that was alive after each time at which a signal
could have been sent to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import attrs
import trio
import trio.testing

from runtime.job import JobSpec, JobStatus
from runtime.process import GroupTree, ProcessTree
from tests.backend.local_jobs import Local, hear, local

NEXT = Path("/proc/sys/kernel/ns_last_pid")

STUBBORN = """
setsid sh -c "trap '' TERM; echo $$ > fifo; while :; do sleep 0.01; done" &
exec sleep 1000
"""
"""The root ends by SIGTERM, and the rest of the job has a group of its own, so the root's process id is free."""


@attrs.define
class Stranger:
    """A process with the id of a root. It leads a group and a session, as the root did, and any signal ends it.

    A process that a signal was sent to may look alive for a while, but does not run any more. So it has to answer.
    """

    renumber: bool
    root: int = 0
    pid: int = 0
    lived: list[bool] = attrs.field(factory=list)
    process: subprocess.Popen[bytes] | None = None

    def take(self, root: int) -> None:
        """Start with a process id that is free."""
        if not self.renumber:
            NEXT.write_text(str(root - 1))
        self.process = subprocess.Popen(
            ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self.root, self.pid = root, self.process.pid

    def take_from(self, tree: ProcessTree) -> None:
        """Start with the process id of the root of `tree`, which was reaped."""
        assert tree.pid is not None
        self.take(tree.pid)
        if self.renumber:
            assert isinstance(tree, GroupTree)
            assert tree.child.reaped
            tree.child.pid = self.root = self.pid

    def look(self) -> None:
        """Record whether it is alive."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(b"?")
        self.lived.append(self.process.stdout.read(1) == b"?")

    def end(self, status: JobStatus) -> list[object]:
        """Return what to print."""
        self.look()
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return [status.name, self.root, self.pid, self.lived]


async def ends_by_itself(here: Local, nursery: trio.Nursery, stranger: Stranger) -> JobStatus:
    """The job has ended and has not completed yet; then it is killed, and later once more."""
    token = trio.lowlevel.current_trio_token()

    def kill() -> None:
        nursery.start_soon(here.backend.kill, "job")

    def between(_status: JobStatus) -> None:
        job = next(job for job in here.driver.control.live_jobs() if job.id == "job")
        assert job is not None
        stranger.take_from(job.data.tree)
        trio.from_thread.run_sync(kill, trio_token=token)
        trio.from_thread.run(trio.testing.wait_all_tasks_blocked, trio_token=token)
        stranger.look()

    handles = await here.session.submit([JobSpec(name="job", cmd="echo $$", post_finish=between)])
    event = await here.session.completed(handles["job"])
    stranger.look()
    await here.backend.kill(handles["job"], force=True)
    return event.status


async def ends_root_first(here: Local, nursery: trio.Nursery, stranger: Stranger) -> JobStatus:
    """The SIGTERM of a kill has ended the root, and not the rest of the job; then the kill is forced."""
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


async def main(directory: Path, containment: str, renumber: bool) -> list[list[object]]:
    strangers = []
    # Without a limit for SIGTERM.
    async with local(directory, containment=containment, term_timeout=0, kill_timeout=30) as here:
        async with trio.open_nursery() as nursery:
            for play in [ends_by_itself, *([ends_root_first] if containment == "tree" else [])]:
                stranger = Stranger(renumber)
                strangers.append((stranger, await play(here, nursery, stranger)))
    return [stranger.end(status) for stranger, status in strangers]


if __name__ == "__main__":
    json.dump(trio.run(main, Path(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["renumber"]), sys.stdout)
