"""Faults that need real programs: commands that hang, and a runtime that is killed."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from runtime.backend.slurm import SlurmBackend
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.process.commands import Commands
from runtime.testing.fixture import BackendFixture, CheckContext, Session
from tests.no_job import no_job
from tests.slurm import killed_program
from tests.slurm.fakes import FakeSlurm, Hang, Stop
from tests.slurm.jobs import on_slurm, use_fake

TOKEN = "a-run-that-was-killed"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    with FakeSlurm() as slurm:
        use_fake(slurm, monkeypatch)
        yield slurm


@pytest.mark.slow
async def test_s16_a_command_that_is_stuck_is_killed_at_its_deadline(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.next("squeue", Stop(), Hang())
    async with on_slurm(tmp_path, poll_interval=0.05, command_timeout=0.3) as (_, session):
        handle = (await session.submit([JobSpec(name="a", cmd="true")]))["a"]
        assert (await session.completed(handle)).status is JobStatus.PASSED
        stuck = [call for call in fake.calls if call.program == "squeue"][:2]
        assert [call.abandoned for call in stuck] == [True, True]


async def test_s1_the_words_of_programs_that_reach_nobody(fake: FakeSlurm, tmp_path: Path) -> None:
    async with on_slurm(tmp_path, poll_interval=0.05) as (_, session):
        running = (await session.submit([JobSpec(name="a", cmd="true")]))["a"]
        fake.stop()
        assert await session.submit([JobSpec(name="b", cmd="true")]) == {}
        fake.start()
        assert (await session.completed(running)).status is JobStatus.PASSED


async def test_a_command_for_which_there_is_no_thread_was_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*_: object, **_options: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", none)
    outcome = await Commands({}, 1).run(["squeue"])
    said = "squeue cannot be started: no thread can be started: can't start new thread"
    assert (outcome.code, outcome.errors, outcome.missing) == (None, said, False)


@asynccontextmanager
async def first_incarnation(directory: Path, count: int) -> AsyncIterator[subprocess.Popen[str]]:
    """Run the program; it is killed at the end of the block."""
    words = [sys.executable, "-m", killed_program.__name__, str(directory), TOKEN, str(count)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as program:
        try:
            yield program
        finally:
            os.killpg(program.pid, signal.SIGKILL)
            assert program.wait() == -signal.SIGKILL


@asynccontextmanager
async def second_incarnation(directory: Path) -> AsyncIterator[tuple[SlurmBackend, Session]]:
    """Open a backend with the run token of the program."""
    backend = SlurmBackend(directory / "run", poll_interval=0.05)
    fixture = BackendFixture(backend, job=no_job)
    async with CheckContext(lambda: fixture, math.inf).session() as session:
        async with backend.open(session.send, TOKEN):
            yield backend, session


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before sbatch is done", "when it is done", "while jobs run", "when they ended"])
async def test_s19_a_runtime_that_is_killed_finds_its_jobs_again(fake: FakeSlurm, tmp_path: Path, when: str) -> None:
    jobs = killed_program.jobs(str(tmp_path), 4)
    if when == "before sbatch is done":
        fake.next("sbatch", Hang())
    elif when == "when it is done":
        fake.next("sbatch", Hang(done=True))
    async with first_incarnation(tmp_path, len(jobs)) as program:
        await fake.wait(lambda: fake.count("sbatch") == 1)
        if when != "before sbatch is done":
            await fake.wait(lambda: len(list(tmp_path.glob("*.starts"))) == len(jobs))
        if when in {"while jobs run", "when they ended"}:
            assert program.stdout is not None
            assert await trio.to_thread.run_sync(program.stdout.readline) == "submitted\n"
        if when == "when they ended":
            (tmp_path / "go").touch()
            await fake.wait(lambda: all(job.is_done for job in fake.jobs()))
    with trio.fail_after(60):
        async with second_incarnation(tmp_path) as (_, session):
            handles = await session.submit(jobs)
            (tmp_path / "go").touch()
            events = [await session.completed(handle) for handle in handles.values()]
    assert [event.status for event in events] == [JobStatus.PASSED] * len(jobs)
    assert [(tmp_path / f"{job.id}.starts").read_text() for job in jobs] == ["begun\n"] * len(jobs)
    assert fake.count("sbatch") == (2 if when == "before sbatch is done" else 1)


@pytest.mark.slow
async def test_s19_a_submission_that_turns_up_after_its_runtime_was_killed_runs_nothing_twice(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    """The controller was slow: it accepts the array after the second incarnation has looked for it."""
    jobs = killed_program.jobs(str(tmp_path), 4)
    fake.next("sbatch", Hang())
    async with first_incarnation(tmp_path, len(jobs)):
        await fake.wait(lambda: fake.count("sbatch") == 1)
    (call,) = [call for call in fake.calls if call.program == "sbatch"]
    with trio.fail_after(60):
        async with second_incarnation(tmp_path) as (_, session):
            fake.change(lambda _: fake.commands.run("sbatch", call.arguments, "/", dict(os.environ)))
            await fake.wait(lambda: len(list(tmp_path.glob("*.starts"))) == len(jobs))
            handles = await session.submit(jobs)
            (tmp_path / "go").touch()
            events = [await session.completed(handle) for handle in handles.values()]
    assert [event.status for event in events] == [JobStatus.PASSED] * len(jobs)
    assert [(tmp_path / f"{job.id}.starts").read_text() for job in jobs] == ["begun\n"] * len(jobs)


@pytest.mark.slow
async def test_s19_what_nobody_asks_for_again_is_ended(fake: FakeSlurm, tmp_path: Path) -> None:
    async with first_incarnation(tmp_path, 4):
        await fake.wait(lambda: len(list(tmp_path.glob("*.starts"))) == 4)
    with trio.fail_after(60):
        async with second_incarnation(tmp_path) as (_, session):
            await session.submit([JobSpec(name="another", cmd="true")])
    assert all(job.is_done for job in fake.jobs())
    await fake.wait(lambda: fake.alive() == [])


@pytest.mark.slow
async def test_a_command_that_hangs_when_the_block_is_cancelled_is_ended_with_it(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    fake.next("squeue", Hang(), Hang())
    with trio.CancelScope() as scope:
        async with on_slurm(tmp_path, poll_interval=0.05, command_timeout=0.5) as (_, session):
            await session.submit([JobSpec(name="a", cmd="sleep 1000")])
            await fake.wait(lambda: fake.count("squeue") == 1)
            scope.cancel()
    assert scope.cancelled_caught
    (event,) = session.history.completions
    assert event.reason is not None
    assert event.reason.kind is FailureKind.CANCELLED
    assert all(job.is_done for job in fake.jobs())
    await fake.wait(lambda: all(call.ended is not None for call in fake.calls))
