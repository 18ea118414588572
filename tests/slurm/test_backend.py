"""`SlurmBackend` on a real cluster: the commands it runs, and what its jobs get."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from runtime.backend.slurm import SlurmBackend
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobCompletionEvent, JobProgressEvent, JobSpec, JobStatus, Kind
from runtime.testing.fixture import Session
from tests.backend.batch.test_wrapper import HOSTILE
from tests.backend.local_jobs import TOKEN, alive
from tests.slurm.cluster import MAX_ARRAY_SIZE, Cluster
from tests.slurm.jobs import Calls, on_slurm

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

PASSED = JobStatus.PASSED


def job(name: str, cmd: Any = "true", **fields: Any) -> JobSpec:
    return JobSpec(name=name, cmd=cmd, **fields)


async def run(session: Session, *jobs: JobSpec) -> dict[str, JobCompletionEvent]:
    """Run jobs, and return their completions by id."""
    handles = await session.submit(jobs)
    return {each.job_id: await session.completed(each) for each in handles.values()}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what happens on a cluster sets no event
        await trio.sleep(0.05)


def statuses(session: Session) -> list[JobStatus]:
    """Return the statuses of all progress events."""
    return [event.status for event in session.history.events if isinstance(event, JobProgressEvent)]


def kind_of(event: JobCompletionEvent) -> Kind | None:
    return None if event.reason is None else event.reason.kind


COUNT = MAX_ARRAY_SIZE + 99


async def test_more_jobs_than_an_array_holds_are_two_arrays_and_one_question_a_tick(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(tmp_path, monkeypatch)
    jobs = [job(f"job{number}", f"exit {int(number % 100 == 7)}") for number in range(COUNT)]
    began = trio.current_time()
    async with on_slurm(tmp_path / "run", time_limit=400, poll_interval=1) as (_, session):
        await session.submit(jobs)
    took = trio.current_time() - began
    events = session.history.completions
    assert len(events) == COUNT
    failed = {event.job_id for event in events if event.status is not PASSED}
    assert failed == {f"job{number}" for number in range(7, COUNT, 100)}
    assert len(calls.of("sbatch")) == 2
    assert len(calls.of("squeue")) <= took + 2  # a tick is a second, at the least
    assert calls.of("scancel") == []


async def test_a_thousand_elements_are_ended_by_one_command(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(tmp_path, monkeypatch)
    mark = f"thousand-{os.getpid()}"
    jobs = [job(f"job{number}", "sleep 1000", exports={TOKEN: mark}) for number in range(1000)]
    async with on_slurm(tmp_path / "run") as (backend, session):
        handles = await session.submit(jobs)
        await session.history.wait_until(lambda: any(e.status is JobStatus.RUNNING for e in session.history.events))
        await backend.kill_many(handles.values())
        assert not alive(mark)
    assert {kind_of(event) for event in session.history.completions} == {FailureKind.CANCELLED}
    assert 1 <= len(calls.of("scancel")) <= 3
    assert slurm.call("squeue", "--noheader") == ""


async def test_hostile_words_and_values_come_through(slurm: Cluster, tmp_path: Path) -> None:
    program = "import os, sys; [os.write(1, os.fsencode(w) + b'\\0') for w in (*sys.argv[1:], os.environ['WORD'])]"
    async with on_slurm(tmp_path / "run '$(x)") as (_, session):
        events = await run(
            session,
            *(
                job(f"{number}{word[:40]}", [sys.executable, "-c", program, word], exports={"WORD": word})
                for number, word in enumerate(HOSTILE)
            ),
        )
    assert {event.status for event in events.values()} == {PASSED}
    logs = {path.read_bytes() for path in (tmp_path / "run '$(x)").glob("*/job.log")}
    assert logs == {2 * (os.fsencode(word) + b"\0") for word in HOSTILE}


async def test_logs_are_watched_while_jobs_run(slurm: Cluster, tmp_path: Path) -> None:
    async with on_slurm(tmp_path / "run", visibility_timeout=5) as (_, session):
        events = await run(
            session,
            job("waits", "echo queued; exec sleep 1000", timeout_from="^Starting", queue_timeout=5),
            job("runs", "echo Starting; exec sleep 1000", timeout_from="^Starting", timeout=1),
            job("short", "echo Starting", timeout_from="^Starting"),
            job("hangs", "echo at work; exec sleep 1000", idle_timeout=1),
        )
    assert {name: kind_of(event) for name, event in events.items()} == {
        "waits": FailureKind.QUEUE_TIMEOUT,
        "runs": FailureKind.TIMEOUT,
        "short": None,
        "hangs": FailureKind.IDLE,
    }
    assert {name for name, event in events.items() if event.started is None} == {"waits"}
    reason = events["hangs"].reason
    assert reason is not None
    assert reason.message.endswith("its last line: at work")


async def test_ends_are_told_apart(slurm: Cluster, tmp_path: Path) -> None:
    async with on_slurm(tmp_path / "run") as (_, session):
        events = await run(
            session,
            job("passes", "echo TEST PASSED", pass_patterns=["^TEST PASSED"]),
            job("fails", "echo TEST FAILED; exit 3"),
            job("matches", "echo ERROR", fail_patterns=["ERROR"]),
            job("lacks", "echo hello", pass_patterns=["^TEST PASSED"]),
            job("crashes", "kill -SEGV $$"),
            job("program", ["/no/such/program"]),
            job("directory", cwd="/no/such/directory"),
            job("slow", "sleep 1000", timeout=0.5),
        )
    assert {name: kind_of(event) for name, event in events.items()} == {
        "passes": None,
        "fails": FailureKind.EXIT_CODE,
        "matches": FailureKind.FAIL_PATTERN,
        "lacks": FailureKind.PASS_PATTERN_MISSING,
        "crashes": FailureKind.SIGNAL,
        "program": FailureKind.LAUNCH_ERROR,
        "directory": FailureKind.LAUNCH_ERROR,
        "slow": FailureKind.TIMEOUT,
    }
    assert events["fails"].reason is not None
    assert events["fails"].reason.context == ("TEST FAILED",)
    usage = events["fails"].usage
    assert usage is not None
    assert (usage.exit_code, usage.signal) == (3, None)
    assert usage.cpu_seconds is not None


async def test_where_it_runs_and_why_it_waits_are_told(slurm: Cluster, tmp_path: Path) -> None:
    async with on_slurm(tmp_path / "run") as (backend, session):
        whole = [job(f"whole{number}", "sleep 1000", resources={"cpus": None}) for number in range(3)]
        await session.submit(whole)

        def reported(status: JobStatus) -> set[str | None]:
            events = [event for event in session.history.events if isinstance(event, JobProgressEvent)]
            return {event.note for event in events if event.status is status}

        await session.history.wait_until(lambda: reported(JobStatus.RUNNING) == {"n1", "n2"})
        await session.history.wait_until(lambda: "Resources" in reported(JobStatus.QUEUED))
        await backend.kill_many(each.id for each in whole)


async def test_what_a_job_asks_for_is_asked_of_slurm(slurm: Cluster, tmp_path: Path) -> None:
    rules = [{"target": "special", "partition": "nowhere"}, {"tag": "nice", "extra": ["--nice=77"]}]
    show = 'scontrol show job "$SLURM_JOB_ID"'
    async with on_slurm(tmp_path / "run", rules=rules) as (_, session):
        events = await run(
            session,
            job("shows", show, resources={"cpus": 3, "memory_mb": 123, "whatever": 9}, timeout=60, tags=["nice"]),
            job("special", target="special"),
            job("greedy", resources={"memory_mb": 10**9}),
        )
    assert events["shows"].status is PASSED
    shown = (tmp_path / "run" / "shows" / "job.log").read_text()
    assert all(
        f"{word}" in shown
        for word in ("NumCPUs=3", "MinMemoryNode=123M", "TimeLimit=00:06:00", "Nice=77", "Requeue=0", "Restarts=0")
    )
    for name, said in (("special", "Invalid partition name specified"), ("greedy", "Memory specification")):
        event = events[name]
        assert kind_of(event) is FailureKind.LAUNCH_ERROR
        assert event.reason is not None
        assert said in event.reason.message


async def test_a_job_inherits_our_environment_without_what_is_slurm_s(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "a 'word'\nof two lines")
    monkeypatch.setenv("MAKEFLAGS", "-j8")
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    monkeypatch.setenv("SBATCH_ARRAY_INX", "1-5")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    program = "import os; print(*(repr(os.environ.get(n)) for n in ('OURS', 'MAKEFLAGS', 'SQUEUE_FORMAT', 'A'))); "
    program += "print(os.environ['SLURM_JOB_ID'] != '77')"
    async with on_slurm(tmp_path / "run") as (_, session):
        await run(session, job("job", [sys.executable, "-c", program], exports={"A": "b"}))
    log = (tmp_path / "run" / "job" / "job.log").read_text()
    assert log == repr("a 'word'\nof two lines") + " None None 'b'\nTrue\n"


async def test_variables_stand_in_for_options(slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    async with on_slurm(tmp_path / "run") as (_, session):
        events = await run(session, job("job"))
    assert kind_of(events["job"]) is FailureKind.LAUNCH_ERROR
    async with on_slurm(tmp_path / "again", partition="main") as (_, session):
        events = await run(session, job("job"))
    assert events["job"].status is PASSED


async def test_a_soft_step_reaches_the_job(slurm: Cluster, tmp_path: Path) -> None:
    wait = "print('ready', flush=True); time.sleep(1000)"
    patient = f"import time\ntry: {wait}\nexcept KeyboardInterrupt: print('saved')"
    async with on_slurm(tmp_path / "run", soft_stop="SIGINT", soft_timeout=30) as (backend, session):
        handles = await session.submit([job("job", [sys.executable, "-c", patient])])
        log = tmp_path / "run" / "job" / "job.log"
        await until(lambda: log.exists() and "ready" in log.read_text())
        await session.history.wait_until(lambda: len(session.history.events) > 0)
        await backend.kill("job")
        event = await session.completed(handles["job"])
    assert kind_of(event) is FailureKind.CANCELLED
    assert log.read_text() == "ready\nsaved\n"


async def test_a_job_that_is_started_again_goes_back_to_the_queue(slurm: Cluster, tmp_path: Path) -> None:
    async with on_slurm(tmp_path / "run", requeue=True) as (_, session):
        command = "echo start; [ -e again ] && exit 0; touch again; sleep 1000"
        handles = await session.submit([job("job", command, cwd=str(tmp_path))])
        await until((tmp_path / "again").exists)
        await session.history.wait_until(lambda: JobStatus.RUNNING in statuses(session))
        number = slurm.call("squeue", "--noheader", "--format=%A").strip()
        slurm.call("scontrol", "requeue", number)
        await session.history.wait_until(lambda: statuses(session)[-1] is JobStatus.QUEUED)
        slurm.call("scontrol", "update", f"JobId={number}", "StartTime=now")  # it would wait for two minutes
        event = await session.completed(handles["job"])
    assert event.status is PASSED
    assert (tmp_path / "run" / "job" / "job.log").read_text() == "start\n"
    reported = statuses(session)
    assert reported.index(JobStatus.RUNNING) < reported.index(JobStatus.QUEUED, reported.index(JobStatus.RUNNING))


async def test_a_run_directory_that_nodes_do_not_see_is_one_clear_error(slurm: Cluster, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    slurm.call("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        with pytest.raises(BackendBrokenError, match=f"may not write to, the run directory {run_dir}. Choose one"):
            async with on_slurm(run_dir, visibility_timeout=1) as (_, session):
                await session.submit([job(f"job{number}") for number in range(50)])
                shutil.rmtree(run_dir)  # as if only this machine had it
                slurm.call("scontrol", "update", "PartitionName=main", "State=UP")
                await trio.sleep_forever()
    finally:
        slurm.call("scontrol", "update", "PartitionName=main", "State=UP")
    assert {kind_of(event) for event in session.history.completions} == {FailureKind.BACKEND_ERROR}
    assert len(session.history.completions) == 50


PROGRAM = """
import os, signal, sys, trio
from runtime import JobSpec, SlurmBackend

async def main():
    send, receive = trio.open_memory_channel(1000)
    async with SlurmBackend(sys.argv[1], poll_interval=0.2).open(send, run_token="the run") as backend:
        await backend.submit_many(JobSpec(name=f"job{n}", cmd=COMMAND) for n in range(20))
        os.kill(os.getpid(), signal.SIGKILL)

COMMAND = "echo ran >>ran; while [ ! -e ../go ]; do sleep 0.1; done; echo done"
trio.run(main)
"""


async def test_jobs_of_a_run_that_was_killed_are_taken_over_and_run_once(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "run"
    done = await trio.run_process([sys.executable, "-c", PROGRAM, str(run_dir)], check=False)
    assert done.returncode == -signal.SIGKILL
    calls = Calls(tmp_path, monkeypatch)
    command = "echo ran >>ran; while [ ! -e ../go ]; do sleep 0.1; done; echo done"
    jobs = [job(f"job{number}", command, pass_patterns=["^done"]) for number in range(20)]
    send, receive = trio.open_memory_channel[Any](1000)
    events: list[JobCompletionEvent] = []
    with trio.fail_after(60), send, receive:
        async with SlurmBackend(run_dir, poll_interval=0.2).open(send, run_token="the run") as backend:
            assert len(await backend.submit_many(jobs[:15])) == 15
            (run_dir / "go").touch()
            while len(events) < 15:
                events += [each for each in await receive.receive() if isinstance(each, JobCompletionEvent)]
    assert {event.status for event in events} == {PASSED}
    assert calls.of("sbatch") == []
    assert [(run_dir / f"job{number}" / "ran").read_text() for number in range(20)] == ["ran\n"] * 20
    assert slurm.call("squeue", "--noheader") == ""  # jobs that were not adopted are gone, too


async def test_without_slurm_it_says_what_is_missing(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendBrokenError, match="there is no Slurm here: scontrol cannot be started: No such file"):
        async with on_slurm(tmp_path / "run"):
            pass
