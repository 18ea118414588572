"""`GridEngineBackend` on a real cluster: the commands it runs, what its jobs get, and faults of the daemons."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from runtime.backend.gridengine import states
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobCompletionEvent, JobProgressEvent, JobSpec, JobStatus, Kind
from runtime.testing.fixture import Session
from tests.backend.local_jobs import TOKEN, alive
from tests.gridengine.cluster import QUEUE, Cluster
from tests.gridengine.jobs import PROGRAMS, on_grid_engine
from tests.slurm.jobs import Calls

pytestmark = [pytest.mark.gridengine, pytest.mark.root, pytest.mark.slow]

PASSED = JobStatus.PASSED


def job(name: str, cmd: Any = "true", **fields: Any) -> JobSpec:
    return JobSpec(name=name, cmd=cmd, **fields)


async def run(session: Session, *jobs: JobSpec) -> dict[str, JobCompletionEvent]:
    """Run jobs, and return their completions by id."""
    handles = await session.submit(jobs)
    return {each.job_id: await session.completed(each) for each in handles.values()}


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what happens on a cluster sets no event
        await trio.sleep(0.05)


def statuses(session: Session) -> list[JobStatus]:
    """Return the statuses of all progress events."""
    return [event.status for event in session.history.events if isinstance(event, JobProgressEvent)]


def kind_of(event: JobCompletionEvent) -> Kind | None:
    return None if event.reason is None else event.reason.kind


def is_running(session: Session) -> bool:
    return JobStatus.RUNNING in statuses(session)


COUNT = 2000
DONE = 100


async def test_two_thousand_jobs_are_one_array_one_question_a_tick_and_ended_by_one_command(
    grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which a hundred run, as a cluster of one node starts a few in a second; and as many are running."""
    calls = Calls(tmp_path, monkeypatch, programs=PROGRAMS)
    mark = f"thousands-{os.getpid()}"
    jobs = [job(f"job{n}", "true" if n < DONE else "exec sleep 1000", exports={TOKEN: mark}) for n in range(COUNT)]
    began = trio.current_time()
    async with on_grid_engine(tmp_path / "run", poll_interval=1) as (backend, session):
        handles = await session.submit(jobs)
        await until(lambda: len(session.history.completions) >= DONE and alive(mark))
        took = trio.current_time() - began
        assert len(calls.of("qstat")) <= took + 2  # a tick is a second, at the least
        await backend.kill_many(handles.values())
        assert not alive(mark)
    kinds = [kind_of(event) for event in session.history.completions]
    assert len(calls.of("qsub")) == 1
    assert (kinds.count(None), kinds.count(FailureKind.CANCELLED)) == (DONE, COUNT - DONE)
    assert calls.of("qdel")[0].startswith("1."), calls.of("qdel")
    assert len(calls.of("qdel")[0].split()) < 10  # ranges, not elements


@contextmanager
def as_it_was(cluster: Cluster) -> Iterator[None]:
    try:
        yield
    finally:
        cluster.heal()


async def test_ends_and_environments_are_as_anywhere(
    grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inherited = {"LD_LIBRARY_PATH": "/x:/y", "HOME": "/nowhere", "OURS": "a 'word'\nof two lines", "TMPDIR": "/tmp"}
    for name, value in {**inherited, "SGE_TASK_ID": "77", "JOB_ID": "88", "MAKEFLAGS": "-j8"}.items():
        monkeypatch.setenv(name, value)
    names = [*inherited, "SGE_TASK_ID", "JOB_ID", "MAKEFLAGS", "NSLOTS", "A"]
    program = f"import json, os; print(json.dumps({{n: os.environ.get(n) for n in {names}}}))"
    mark = f"left-{os.getpid()}"
    options: dict[str, Any] = {
        "parallel_environment": "smp",
        "complexes": {"memory_mb": "h_vmem"},
        "queue": QUEUE,
        "time": "1:00:00",
    }
    async with on_grid_engine(tmp_path / "run", **options) as (_, session):
        events = await run(
            session,
            job("environment", [sys.executable, "-c", program], exports={"A": "b"}, resources={"cpus": 3}),
            job("fails", "echo TEST FAILED; exit 3"),
            job("crashes", "kill -SEGV $$"),
            job("slow", "sleep 1000 & sleep 1000", timeout=1, exports={TOKEN: mark}),
            job("greedy", resources={"cpus": 9999}),
            job("asks", 'qstat -j "$JOB_ID"', resources={"memory_mb": 64_000, "cpus": 2}),
        )
        assert not alive(mark)
    assert {name: kind_of(event) for name, event in events.items()} == {
        "environment": None,
        "fails": FailureKind.EXIT_CODE,
        "crashes": FailureKind.SIGNAL,
        "slow": FailureKind.TIMEOUT,
        "greedy": FailureKind.LAUNCH_ERROR,
        "asks": None,
    }
    assert events["greedy"].reason is not None
    assert events["greedy"].reason.message == "Grid Engine refused it: no suitable queues"
    printed = dict(json.loads((tmp_path / "run" / "environment" / "job.log").read_text()))
    assert printed.pop("JOB_ID") not in ("88", None)
    assert printed == {**inherited, "SGE_TASK_ID": "1", "MAKEFLAGS": None, "NSLOTS": "3", "A": "b"}
    shown = (tmp_path / "run" / "asks" / "job.log").read_text()
    assert "h_rt=3600,h_vmem=32000M" in shown
    assert "OURS" not in shown, "anybody may see it"


def test_qdel_ends_also_what_a_job_has_put_into_a_session_of_its_own(grid_engine: Cluster, tmp_path: Path) -> None:
    """Of an ordinary user: a process of root is spared. So it is no test of the backend, whose tests run as root."""
    mark = f"session-{os.getpid()}"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\nexport {TOKEN}={mark}\nsetsid sleep 1000 & sleep 1000\n")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
    words = ("qsub", "-terse", "-t", "1-1", "-wd", "/", "-o", "/dev/null", "-j", "y", "-S", "/usr/bin/env")
    for folder in (tmp_path, *tmp_path.parents[:2]):  # the user must reach it
        folder.chmod(0o755)
    answer = grid_engine.call(*nobody, *words, str(script))
    grid_engine.wait(lambda: alive(mark), "it runs")
    grid_engine.call("qdel", answer.partition(".")[0])
    grid_engine.wait(lambda: not alive(mark), "it has ended")


async def test_a_job_that_is_started_again_goes_back_to_the_queue(grid_engine: Cluster, tmp_path: Path) -> None:
    async with on_grid_engine(tmp_path / "run", rerun=True) as (_, session):
        command = "echo start; [ -e again ] && exit 0; touch again; sleep 1000"
        handles = await session.submit([job("job", command, cwd=str(tmp_path))])
        await until((tmp_path / "again").exists)
        await session.history.wait_until(lambda: is_running(session))
        (number,) = {words[0] for words in grid_engine.jobs()}
        grid_engine.call("qmod", "-rj", number)
        event = await session.completed(handles["job"])
    assert event.status is PASSED
    assert (tmp_path / "run" / "job" / "job.log").read_text() == "start\n"


async def test_a_run_directory_that_nodes_do_not_see_is_one_clear_error(grid_engine: Cluster, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    grid_engine.call("qmod", "-d", QUEUE)
    try:
        with pytest.raises(BackendBrokenError, match=f"may not write to, the run directory {run_dir}. Choose one"):
            async with on_grid_engine(run_dir, visibility_timeout=6) as (_, session):
                await session.submit([job(f"job{number}") for number in range(3)])
                shutil.rmtree(run_dir)  # as if only this machine had it
                grid_engine.call("qmod", "-e", QUEUE)
                await trio.sleep_forever()
    finally:
        grid_engine.call("qmod", "-e", QUEUE)
    assert {kind_of(event) for event in session.history.completions} == {FailureKind.BACKEND_ERROR}


async def test_without_grid_engine_it_says_what_is_missing(
    grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGE_CELL", "nowhere")
    with pytest.raises(BackendBrokenError, match="Grid Engine is not configured here: cell directory"):
        async with on_grid_engine(tmp_path / "run"):
            pass
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendBrokenError, match="there is no Grid Engine here: qconf cannot be started: No such file"):
        async with on_grid_engine(tmp_path / "run"):
            pass


# ---------------------------------------------------------------------- faults of the daemons


async def test_a_master_that_is_killed_and_restarted_loses_nothing(
    grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(tmp_path, monkeypatch, programs=PROGRAMS)
    command = f"echo begun >> {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.2; done"
    with as_it_was(grid_engine):
        async with on_grid_engine(tmp_path / "run") as (_, session):
            handles = await session.submit([job(f"job{number}", command) for number in range(20)])
            await until(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text().count("\n") == 20)
            grid_engine["sge_qmaster"].kill()
            asked = len(calls.of("qstat"))
            await until(lambda: len(calls.of("qstat")) > asked)
            assert session.history.completions == []
            grid_engine["sge_qmaster"].start()
            (tmp_path / "go").touch()
            events = [await session.completed(handle) for handle in handles.values()]
    assert [event.status for event in events] == [PASSED] * 20
    assert (tmp_path / "begun").read_text() == "begun\n" * 20
    assert len(calls.of("qsub")) == 1


async def test_an_array_that_a_silent_master_accepts_late_runs_once(
    grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master is frozen: qsub is killed at its deadline, and its request may or may not have been taken."""
    calls = Calls(tmp_path, monkeypatch, programs=PROGRAMS)
    with as_it_was(grid_engine):
        async with on_grid_engine(tmp_path / "run", command_timeout=2) as (_, session):

            async def thaw() -> None:
                await until(lambda: len(calls.of("qsub")) == 1 and len(calls.of("qstat")) > 0)
                grid_engine["sge_qmaster"].thaw()

            grid_engine["sge_qmaster"].freeze()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(thaw)
                handles: dict[str, Any] = {}
                jobs = [job(f"job{number}", f"echo $JOB_RUNTIME_ID >> {tmp_path}/begun") for number in range(5)]
                while left := [each for each in jobs if each.id not in handles]:
                    handles |= await session.submit(left)
                    await trio.sleep(0.2)
            events = [await session.completed(handle) for handle in handles.values()]
    assert [event.status for event in events] == [PASSED] * 5
    assert sorted((tmp_path / "begun").read_text().split()) == [f"job{number}" for number in range(5)]


async def test_a_node_that_is_lost_ends_its_jobs_with_that_reason_and_they_are_cancelled(
    grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(tmp_path, monkeypatch, programs=PROGRAMS)
    mark = f"lost-{os.getpid()}"
    monkeypatch.setattr(states, "NODE_LOST", attrs.evolve(states.NODE_LOST, doubt=3))
    with as_it_was(grid_engine):
        async with on_grid_engine(tmp_path / "run", visibility_timeout=3) as (_, session):
            handles = await session.submit([job("lost", "exec sleep 1000", exports={TOKEN: mark})])
            await session.history.wait_until(lambda: is_running(session))
            grid_engine["sge_execd"].freeze()
            event = await session.completed(handles["lost"])
            assert kind_of(event) is FailureKind.NODE_FAILURE
            assert event.reason is not None
            assert "on localhost ended: r (its node does not answer the master)" in event.reason.message
            await until(lambda: [words[4] for words in grid_engine.jobs()] == ["dr"])
            assert len(calls.of("qdel")) == 1
            grid_engine["sge_execd"].thaw()
            await until(lambda: not alive(mark))
