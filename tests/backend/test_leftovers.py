"""Processes that a local job leaves running when it ends by itself, for real, in both containments."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from runtime.backend.local import LocalBackend, launch
from runtime.job import FailureKind, JobSpec, JobStatus
from tests.backend.local_jobs import hear, local
from tests.backend.test_local import state_of

both = pytest.mark.parametrize("containment", ["group", "tree"])


@both
async def test_processes_that_are_left_running_are_named_and_killed(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("sleep 1000 & echo $!")
        pid = int(here.log())
        assert event.status is JobStatus.PASSED
        assert event.reason is None
        assert event.usage is not None
        assert event.usage.left_behind == (f"sleep (pid {pid})",)
        assert state_of(pid) == "Z"


@both
async def test_of_many_a_few_are_named(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("for i in 1 2 3 4 5 6 7; do sleep 1000 & done; exit 3")
        assert event.status is JobStatus.FAILED
        assert event.usage is not None
        assert event.usage.left_behind is not None
        assert len(event.usage.left_behind) == 6
        assert event.usage.left_behind[-1] == "2 more"


@both
async def test_leftovers_fail_a_job_that_asks_for_it(tmp_path: Path, containment: str) -> None:
    verdicts: list[JobStatus] = []
    async with local(tmp_path, containment=containment, leftovers="fail") as here:
        event = await here.run("sleep 1000 & exit 0", post_finish=verdicts.append)
        assert event.reason is not None
        assert (event.status, event.reason.kind) == (JobStatus.FAILED, FailureKind.LEFTOVERS)
        assert "left processes running, which were killed: sleep (pid" in event.reason.message
        assert verdicts == [JobStatus.FAILED]
        event = await here.run("sleep 1000 & exit 3", name="fails")
        assert event.reason is not None
        assert event.reason.kind is FailureKind.EXIT_CODE
        for mode in ("warn", "ignore"):
            event = await here.run("sleep 1000 & exit 0", name=mode, leftovers=mode)
            assert event.status is JobStatus.PASSED
        assert (await here.run("exit 0", name="clean")).status is JobStatus.PASSED


@both
async def test_a_process_that_ends_by_itself_is_not_named(
    tmp_path: Path, containment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "LEFTOVER_TIMEOUT", 1000)
    os.mkfifo(tmp_path / "pipe")
    command = f"{{ cat {tmp_path}/pipe; sleep 0.05; echo last; }} & exec 3> {tmp_path}/pipe; echo first >&3"
    async with local(tmp_path / "run", containment=containment, leftovers="fail") as here:
        event = await here.run(command, pass_patterns=["first", "last"])
        assert event.status is JobStatus.PASSED, event
        assert event.usage is not None
        assert event.usage.left_behind is None
        # Zombies that are never reaped are not named, either.
        event = await here.run("sh -c 'sleep 0.01 & exec true' & wait", name="zombies")
        assert event.status is JobStatus.PASSED, event


@both
async def test_ignored_leftovers_are_not_waited_for(
    tmp_path: Path, containment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "LEFTOVER_TIMEOUT", 1000)
    async with local(tmp_path, containment=containment, leftovers="ignore") as here:
        event = await here.run("sleep 1000 & exit 0")
        assert event.status is JobStatus.PASSED
        assert event.usage is not None
        assert event.usage.left_behind is None


@both
async def test_a_forced_kill_does_not_wait_for_leftovers(
    tmp_path: Path, containment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "LEFTOVER_TIMEOUT", 1000)
    os.mkfifo(tmp_path / "fifo")
    async with local(tmp_path / "run", containment=containment) as here:
        cmd = f"sh -c 'echo $$ > {tmp_path}/fifo; exec sleep 1000' & exit 0"
        handles = await here.session.submit([JobSpec(name="job", cmd=cmd)])
        pid = int(await hear(tmp_path / "fifo"))
        here.backend.close(force=True)
        event = await here.session.completed(handles["job"])
        assert state_of(pid) == "Z"
        assert event.status in (JobStatus.PASSED, JobStatus.KILLED)  # either may come first


@pytest.mark.parametrize("backend", ["group", "tree"])
async def test_a_job_may_be_exempt(tmp_path: Path, backend: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    script = f"setsid sh -c 'echo $$ > {tmp_path}/fifo; exec sleep 1000' & read pid < {tmp_path}/fifo; echo $pid"
    async with local(tmp_path / "run", containment=backend, leftovers="fail") as here:
        event = await here.run(script, name="exempt", containment="group")
        daemon = int(here.log("exempt"))
        try:
            assert event.status is JobStatus.PASSED
            assert state_of(daemon) != "Z"
        finally:
            os.kill(daemon, signal.SIGKILL)
        event = await here.run(script, name="contained", containment="tree")
        assert event.reason is not None
        assert event.reason.kind is FailureKind.LEFTOVERS
        assert state_of(int(here.log("contained"))) == "Z"


def test_what_it_may_mean_is_one_of_three() -> None:
    with pytest.raises(ValueError, match="leftovers is 'maybe'; expected 'ignore', 'warn' or 'fail'"):
        LocalBackend(leftovers="maybe")
