"""`__del__` of a launcher runs in a launcher thread, never in the event loop."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import trio

from runtime.backend.legacy import LauncherBusyError, LegacyLauncherAdapter
from runtime.job import JobStatus
from tests.backend.legacy.rig import job, rig

HERE = threading.current_thread()


class Dropped:
    """Does what the command ``<step>:<what>`` says in that step. An exception that it raises refers to it."""

    poll_freq = 0
    threads: ClassVar[dict[str, list[threading.Thread]]] = {}
    """The threads in which `__del__` of each job's launcher ran."""
    gate: ClassVar[threading.Event]
    hanging: ClassVar[threading.Event]

    def __init__(self, job: Any) -> None:
        self.job = job
        self.polls = 0
        self.act("build")

    def launch(self) -> None:
        self.act("launch")

    def poll(self) -> Any:
        self.polls += 1
        self.act("poll")
        return JobStatus.RUNNING if self.job.cmd.startswith("kill") or self.polls < 3 else JobStatus.PASSED

    def kill(self) -> None:
        self.act("kill")

    def act(self, step: str) -> None:
        at, _, what = self.job.cmd.partition(":")
        if at != step:
            return
        if what == "raise":
            error: Exception = PermissionError(13, "not yours", self)
            raise error
        if what == "busy":
            error = LauncherBusyError("full")
            raise error
        if what == "hang":
            self.hanging.set()
            self.gate.wait()

    def __del__(self) -> None:
        self.threads.setdefault(self.job.id, []).append(threading.current_thread())
        if self.job.cmd == "del:hang":
            self.gate.wait()


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Run a test without the cyclic collector, which may drop launchers at any time."""
    Dropped.threads.clear()
    Dropped.gate, Dropped.hanging = threading.Event(), threading.Event()
    gc.collect()
    gc.disable()
    yield
    Dropped.gate.set()
    gc.enable()


def check(*names: str) -> None:
    assert Counter({name: len(threads) for name, threads in Dropped.threads.items()}) == Counter(names)
    assert [name for name, threads in Dropped.threads.items() if HERE in threads] == []


async def test_whatever_its_launcher_does_it_is_dropped_in_a_thread_for_launchers() -> None:
    cmds = ["pass", "build:raise", "launch:raise", "poll:raise", "kill:raise", "kill:well", "launch:busy"]
    names = [cmd.replace(":", "-") for cmd in cmds]
    async with rig(Dropped, LegacyLauncherAdapter) as it:
        await it.backend.submit_many([job(name, cmd=cmd) for name, cmd in zip(names, cmds, strict=True)])
        await it.backend.kill_many(["kill-raise", "kill-well"])
    check(*names)


async def test_a_busy_launcher_is_kept_and_dropped_when_another_replaces_it_or_its_job_is_killed() -> None:
    async with rig(Dropped, LegacyLauncherAdapter) as it:
        for name in ("one", "two"):
            assert await it.backend.submit(job(name, cmd="launch:busy")) is None
        assert Dropped.threads == {}
        assert await it.backend.submit(job("one", cmd="launch:busy")) is None  # not the same specification
        await it.backend.kill("two")
    check("one", "one", "two")


async def test_jobs_of_a_block_that_is_cancelled() -> None:
    names = [f"j{number}" for number in range(20)]
    with trio.CancelScope() as scope:
        async with rig(Dropped, LegacyLauncherAdapter, poll_interval=1000) as it:
            await it.backend.submit_many([job(name, cmd="kill:well") for name in names])
            scope.cancel()
            await trio.lowlevel.checkpoint()
    check(*names)


@pytest.mark.parametrize("step", ["build", "launch", "poll", "kill"])
async def test_a_call_that_returns_after_it_was_abandoned(step: str) -> None:
    # Only the call that hangs is abandoned: on a busy machine, others may take as long as these limits.
    short = {"kill_timeout": 0.02} if step == "kill" else {"poll_timeout": 0.02, "launch_timeout": 0.02}
    async with rig(Dropped, LegacyLauncherAdapter, stall_timeout=0.01, **short) as it:
        await it.backend.submit(job("slow", cmd=f"{step}:hang"))
        if step == "kill":
            await it.backend.kill("slow")
        await it.wait_ended("slow")
        Dropped.gate.set()
        with trio.fail_after(10):
            while "slow" not in Dropped.threads:  # noqa: ASYNC110 - a thread sets no event of trio's
                await trio.sleep(0.001)
    check("slow")


async def test_a_del_that_hangs_holds_up_neither_the_loop_nor_others_nor_the_end() -> None:
    async with rig(Dropped, LegacyLauncherAdapter, stall_timeout=0.01) as it:
        await it.backend.submit_many([job("bad", cmd="del:hang"), job("good"), job("other")])
        await it.backend.drain()
        await it.backend.submit(job("after"))
        await it.wait_ended("after")
    assert {it.end(name).status for name in ("bad", "good", "other", "after")} == {JobStatus.PASSED}
    check("bad", "good", "other", "after")


EXITS = """
import sys, trio
from runtime import JobSpec, LegacyLauncherAdapter, run_jobs

class ExitingLauncher:
    poll_freq = 0
    def __init__(self, job): self.job = job
    def launch(self): pass
    def poll(self):
        class FAILED: name = "FAILED"
        return FAILED
    def kill(self): pass
    @property
    def fail_msg(self): sys.exit(0)
    job_runtime = simulated_time = fail_msg
    def __del__(self): sys.exit(0)

async def main():
    (result,) = await run_jobs([JobSpec(name="a", cmd="true")], LegacyLauncherAdapter(ExitingLauncher))
    print(result.status.name, result.reason.message)

trio.run(main)
"""


@pytest.mark.slow
def test_exits_of_properties_and_of_del_end_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", EXITS], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "FAILED ExitingLauncher gave no reason: its fail_msg raised SystemExit: 0\n", done.stderr


def test_a_class_attribute_that_exits_is_an_error_of_the_class() -> None:
    class Meta(type):
        @property
        def max_parallel(cls) -> int:
            sys.exit(0)

    class ExitingLauncher(metaclass=Meta):
        def __init__(self, job: Any) -> None: ...

        def launch(self) -> None: ...

        poll = kill = launch

    with pytest.raises(ValueError, match=r"attributes of .*ExitingLauncher raised SystemExit: 0; expected plain"):
        LegacyLauncherAdapter(ExitingLauncher)
