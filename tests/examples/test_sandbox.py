"""The example of a backend that runs jobs in PID namespaces keeps the contract, and nothing outlives its jobs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from examples import sandbox_backend
from examples.sandbox_backend import SandboxBackend, SandboxDriver
from runtime import BackendBrokenError, Control, Driver, EventBatch, JobResult, JobSpec, LiveJob, run_jobs
from runtime.testing import BUFFERS, BackendFixture, Behaviour, check_backend

pytestmark = pytest.mark.slow

COMMANDS: dict[Behaviour, str | list[str]] = {
    Behaviour.PASS: "true",
    Behaviour.FAIL: "exit 3",
    Behaviour.RUN_UNTIL_KILLED: "exec sleep 1000",
    Behaviour.IGNORE_SIGTERM: "trap '' TERM; sleep 1000; sleep 1000",
    Behaviour.CANNOT_LAUNCH: ["no-such-program"],
    Behaviour.BUSY_ONCE: "true",
}
DAEMON = '(setsid sh -c "echo up >../up; exec sleep 1000" &)'
"""Forks twice and calls setsid, then writes to the FIFO of the test."""

TIMEOUT = 60.0
"""Seconds after which a test counts as hung. Arbitrary: ten times less would fail on a busy machine."""


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Fail in one line where namespaces are forbidden: this backend cannot work there, and that is no pass."""

    async def why_not() -> str | None:
        send, receive = trio.open_memory_channel[EventBatch](0)
        with send, receive:
            try:
                async with SandboxBackend().open(send):
                    return None
            except BackendBrokenError as exc:
                return str(exc)

    if (why := trio.run(why_not)) is not None:
        pytest.fail(why, pytrace=False)


def make_job(root: Path, name: str, cmd: str | Sequence[str], **fields: Any) -> JobSpec:
    odir = str(root / name)
    return JobSpec(name=name, cmd=cmd, **{"odir": odir, "exports": {"OF_JOB": odir}, **fields})


def processes(root: Path, name: str) -> list[int]:
    """The processes of a job: those with its environment."""
    found = []
    mark = f"OF_JOB={root / name}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


async def opened(fifo: Path) -> None:
    """Wait until the job has written to the FIFO."""
    assert await trio.to_thread.run_sync(fifo.read_text, abandon_on_cancel=True) == "up\n"


async def results_of(*jobs: JobSpec) -> dict[str, tuple[str, str | None]]:
    def shown(result: JobResult[JobSpec]) -> tuple[str, str | None]:
        return result.status.name, None if result.reason is None else result.reason.message

    return {result.id: shown(result) for result in await run_jobs(jobs, SandboxBackend())}


@pytest.mark.parametrize("buffer", BUFFERS)
async def test_it_keeps_the_contract(buffer: float, tmp_path: Path) -> None:
    busy: set[str] = set()

    class SometimesBusy(SandboxDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            for job in jobs:
                if job.id in busy and self.control.begin(job):
                    busy.discard(job.id)
                    self.control.refuse(job)
            await super().launch(jobs)

    class Backend(SandboxBackend):
        def make_driver(self, control: Control) -> Driver:
            return SometimesBusy(control, self)

    def make(behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - see MakeJob
        if behaviour is Behaviour.BUSY_ONCE:
            busy.add(id)
        return make_job(tmp_path, id, COMMANDS[behaviour], timeout=timeout)

    def fixture() -> BackendFixture:
        return BackendFixture(Backend(max_parallelism=0), make, alive=lambda job: bool(processes(tmp_path, job)))

    await check_backend(fixture, buffers=[buffer])


async def test_a_daemon_is_killed_with_its_job(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "up")
    send, receive = trio.open_memory_channel[EventBatch](1)
    with trio.fail_after(TIMEOUT), send, receive:
        async with SandboxBackend().open(send) as backend:
            handle = await backend.submit(make_job(tmp_path, "job", f"{DAEMON}; exec sleep 1000"))
            assert handle is not None
            await opened(tmp_path / "up")
            sessions = {os.getsid(pid) for pid in processes(tmp_path, "job")}
            assert len(sessions) == 2  # that of the job, and that of its daemon
            await backend.kill(handle)
            assert processes(tmp_path, "job") == []
            (event,) = await receive.receive()
            assert (event.job_id, event.status.name) == ("job", "KILLED")


async def test_a_daemon_ends_with_its_job(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "up")
    with trio.fail_after(TIMEOUT):
        assert await results_of(make_job(tmp_path, "job", f"{DAEMON}; cat ../up")) == {"job": ("PASSED", None)}
    assert processes(tmp_path, "job") == []
    assert (tmp_path / "job" / "job.log").read_text() == "up\n"


async def test_how_jobs_end(tmp_path: Path) -> None:
    found = await results_of(
        make_job(tmp_path, "in a namespace", "grep ^NSpid: /proc/self/status", pass_patterns=[r"^NSpid:\t\d+\t\d+$"]),
        make_job(tmp_path, "exits", "exit 3"),
        make_job(tmp_path, "aborts", "kill -ABRT $$"),
        make_job(tmp_path, "says nothing", "true", pass_patterns=["^TEST PASSED"]),
        make_job(tmp_path, "too long", "sleep 1000", timeout=0.2),
        make_job(tmp_path, "no program", ["./none"]),
        make_job(tmp_path, "no cwd", ["true"], cwd=str(tmp_path / "none")),
        make_job(tmp_path, "dry", ["true"], dry_run=True),
        make_job(tmp_path, "no odir", ["true"], odir=None),
    )
    assert found == {
        "in a namespace": ("PASSED", None),
        "exits": ("FAILED", "exit code 3"),
        "aborts": ("FAILED", "exit code 134"),
        "says nothing": ("FAILED", "pass pattern not found: '^TEST PASSED'"),
        "too long": ("KILLED", "ran for longer than its timeout of 0.2 s"),
        "no program": ("KILLED", "there is no program './none'"),
        "no cwd": ("KILLED", f"[Errno 2] No such file or directory: '{tmp_path / 'none'}'"),
        "dry": ("KILLED", "the job sets dry_run, which backend 'sandbox' does not have"),
        "no odir": ("KILLED", "the job has no odir; expected a directory for its log"),
    }


async def test_where_namespaces_are_forbidden_it_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden = tmp_path / "unshare"
    forbidden.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2; exit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setattr(sandbox_backend, "UNSHARE", str(forbidden))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    why = "backend 'sandbox' cannot be opened: unshare: unshare failed: Operation not permitted"
    found = await results_of(make_job(tmp_path, "job", "true"))
    assert found == {"job": ("KILLED", f"{why}; expected a system on which ordinary users may create user namespaces")}
