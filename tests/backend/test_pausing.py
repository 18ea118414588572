"""`LocalBackend.pause` and `unpause`: jobs are paused with the runtime, and no limit counts that time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import trio

from runtime.job import FailureKind, JobSpec, JobStatus
from tests.backend.local_jobs import hear, local

pytestmark = pytest.mark.parametrize("containment", ["tree", "group"])

ROOT_AND_CHILD = "sleep 1000 & echo $$ $! >{up}; wait; exit 3"


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def wait_state(pids: list[int], *, stopped: bool) -> None:
    with trio.fail_after(30):
        while any((state(pid) == "T") != stopped for pid in pids):  # noqa: ASYNC110 - a state of a process has no event
            await trio.sleep(0.001)


async def wait_executed(pid: int, name: str) -> None:
    """Wait until a child of a shell has executed its program; until then it has the traps of the shell."""
    with trio.fail_after(30):
        while Path(f"/proc/{pid}/comm").read_text().strip() != name:  # noqa: ASYNC110 - as above
            await trio.sleep(0.001)


async def test_all_processes_of_a_job_stop_and_go_on(tmp_path: Path, containment: str) -> None:
    os.mkfifo(tmp_path / "up")
    async with local(tmp_path, containment=containment) as here:
        spec = JobSpec(name="a", cmd=ROOT_AND_CHILD.format(up=tmp_path / "up"))
        handle = (await here.session.submit([spec]))["a"]
        pids = [int(word) for word in (await hear(tmp_path / "up")).split()]
        for _ in range(2):
            here.backend.pause()
            here.backend.pause()
            await wait_state(pids, stopped=True)
            here.backend.unpause()
            here.backend.unpause()
            await wait_state(pids, stopped=False)
        os.kill(pids[1], signal.SIGKILL)
        event = await here.session.completed(handle)
        assert event.usage is not None
        assert event.usage.exit_code == 3


async def test_a_job_that_is_killed_while_it_is_paused_can_end_in_order(tmp_path: Path, containment: str) -> None:
    os.mkfifo(tmp_path / "up")
    async with local(tmp_path, containment=containment, term_timeout=60) as here:
        cmd = f"trap 'kill $!; exit 7' TERM; sleep 1000 & echo $$ $! >{tmp_path / 'up'}; wait"
        handle = (await here.session.submit([JobSpec(name="a", cmd=cmd)]))["a"]
        pids = [int(word) for word in (await hear(tmp_path / "up")).split()]
        await wait_executed(pids[1], "sleep")
        here.backend.pause()
        await wait_state(pids, stopped=True)
        await here.backend.kill("a")
        event = await here.session.completed(handle)
        assert (event.status, event.usage is not None and event.usage.exit_code) == (JobStatus.KILLED, 7)
        here.backend.unpause()


async def test_a_job_that_is_killed_while_it_is_paused_and_does_not_end_is_killed_in_time(
    tmp_path: Path, containment: str
) -> None:
    os.mkfifo(tmp_path / "up")
    async with local(tmp_path, containment=containment, term_timeout=0.1) as here:
        cmd = f"trap '' TERM; sleep 1000 & echo $$ >{tmp_path / 'up'}; wait"
        handle = (await here.session.submit([JobSpec(name="a", cmd=cmd)]))["a"]
        pid = int(await hear(tmp_path / "up"))
        here.backend.pause()
        await wait_state([pid], stopped=True)
        await here.backend.kill("a")
        event = await here.session.completed(handle)
        assert event.reason is not None
        assert (event.status, event.reason.kind) == (JobStatus.KILLED, FailureKind.CANCELLED)
        assert event.usage is not None
        assert event.usage.signal == signal.SIGKILL


async def test_nothing_is_launched_meanwhile(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        here.backend.pause()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.submit, [JobSpec(name="a", cmd="true")])
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not (tmp_path / "a").exists()
            here.backend.unpause()
        await here.backend.drain()
        assert (tmp_path / "a").exists()


@pytest.mark.slow
async def test_the_time_of_a_pause_counts_towards_no_limit(tmp_path: Path, containment: str) -> None:
    for name in ("up", "down"):
        os.mkfifo(tmp_path / name)
    limit = 3.0
    async with local(tmp_path, containment=containment) as here:
        spec = JobSpec(name="a", cmd=f"echo x >{tmp_path / 'up'}; read line <{tmp_path / 'down'}", timeout=limit)
        handle = (await here.session.submit([spec]))["a"]
        await hear(tmp_path / "up")
        here.backend.pause()
        until = trio.current_time() + limit + 0.2
        with trio.move_on_at(until):  # no job ends before
            await here.session.completed(handle)
        here.backend.unpause()
        await trio.to_thread.run_sync((tmp_path / "down").write_text, "go\n")
        assert (await here.session.completed(handle)).status is JobStatus.PASSED


@pytest.mark.slow
async def test_a_limit_expires_after_a_pause_when_its_remaining_time_is_over(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        handle = (await here.session.submit([JobSpec(name="a", cmd="sleep 1000", timeout=0.5)]))["a"]
        here.backend.pause()
        here.backend.unpause()
        event = await here.session.completed(handle)
        assert event.reason is not None
        assert event.reason.kind is FailureKind.TIMEOUT
