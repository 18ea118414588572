"""`timeout_from`: until a line of its log matches, a job waits, although its process runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.backend import log_clock, log_watch
from runtime.backend.fake import FakeBackend
from runtime.job import FailureKind, JobCompletionEvent, JobProgressEvent, JobSpec, JobStatus
from runtime.testing.history import History
from runtime.verdict import JudgingError, Verdicts
from tests.backend.batch.scripted import Element, ScriptedSystem, Stage
from tests.backend.local_jobs import Local, local
from tests.backend.manual import job, opened

WAITS = "waits for a line that matches '^Starting' (timeout_from)"
BOTH = pytest.mark.parametrize("containment", ["group", "tree"])


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "autojump_clock" not in request.fixturenames:
        for module in (log_clock, log_watch):
            monkeypatch.setattr(module, "LOOK_INTERVAL", 0.01)


def progress(history: History) -> list[tuple[str, str | None]]:
    return [(event.status.name, event.note) for event in history.events if isinstance(event, JobProgressEvent)]


def kind(event: JobCompletionEvent) -> FailureKind | str | None:
    return None if event.reason is None else event.reason.kind


# ------------------------------------------------------------------ local jobs


class Licence:
    """A job that waits for its licence, which is a line of a FIFO."""

    def __init__(self, directory: Path, jobs: Local) -> None:
        self.fifo = directory / "licence"
        self.jobs = jobs

    def command(self, then: str) -> str:
        return f"mkfifo {self.fifo}; echo queued for a licence; read line < {self.fifo}; echo Starting; {then}"

    async def grant(self) -> None:
        """Let it go on when it is known to wait."""
        await self.jobs.session.history.wait_until(lambda: ("QUEUED", WAITS) in progress(self.jobs.session.history))
        while not self.fifo.exists():
            await trio.lowlevel.checkpoint()
        await trio.to_thread.run_sync(self.fifo.write_text, "go\n")


@asynccontextmanager
async def licensed(directory: Path, containment: str) -> AsyncIterator[Licence]:
    async with local(directory / "run", containment=containment) as jobs:
        yield Licence(directory, jobs)


@BOTH
async def test_a_job_runs_from_the_line_on(tmp_path: Path, containment: str) -> None:
    async with licensed(tmp_path, containment) as licence:
        spec = JobSpec(name="job", cmd=licence.command("exec sleep 1000"), timeout_from="^Starting", timeout=0.2)
        handles = await licence.jobs.session.submit([spec])
        assert handles["job"].started is None
        await licence.grant()
        event = await licence.jobs.session.completed(handles["job"])
        assert progress(licence.jobs.session.history) == [("QUEUED", WAITS), ("RUNNING", "")]
    assert (event.status, kind(event)) == (JobStatus.KILLED, FailureKind.TIMEOUT)
    assert event.started is not None
    assert event.started >= event.submitted


@BOTH
async def test_the_line_is_found_also_if_the_job_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str
) -> None:
    monkeypatch.setattr(log_watch, "LOOK_INTERVAL", 1000.0)
    async with local(tmp_path, containment=containment) as jobs:
        event = await jobs.run("echo Starting", timeout_from="^Starting")
        assert event.status is JobStatus.PASSED
        assert event.started is not None
        event = await jobs.run("echo no licence; exit 1", name="none", timeout_from="^Starting")
        assert (event.status, kind(event)) == (JobStatus.FAILED, FailureKind.EXIT_CODE)
        assert event.started is None, "it has never run"
        event = await jobs.run(
            "echo Starting; echo not", name="fails", timeout_from="^Starting", fail_patterns=["^not"]
        )
        assert (event.started is not None, kind(event)) == (True, FailureKind.FAIL_PATTERN)


@BOTH
async def test_until_then_it_waits_no_longer_than_its_queue_timeout(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as jobs:
        event = await jobs.run(
            "echo queued; exec sleep 1000", timeout_from="^Starting", queue_timeout=0.2, timeout=1000, idle_timeout=0.01
        )
    assert (event.status, kind(event), event.started) == (JobStatus.KILLED, FailureKind.QUEUE_TIMEOUT, None)
    assert event.reason is not None
    assert event.reason.message == (
        "waited for a line that matches '^Starting' (timeout_from) for longer than its queue_timeout of 0.2 s"
    )
    assert list(event.reason.context or ()) == ["queued"]


@BOTH
async def test_a_job_that_waits_is_killed_as_any_other(tmp_path: Path, containment: str) -> None:
    async with licensed(tmp_path, containment) as licence:
        session = licence.jobs.session
        handles = await session.submit([JobSpec(name="job", cmd=licence.command("true"), timeout_from="^Starting")])
        await session.history.wait_until(lambda: ("QUEUED", WAITS) in progress(session.history))
        await licence.jobs.backend.kill("job")
        event = await session.completed(handles["job"])
    assert (event.status, kind(event), event.started) == (JobStatus.KILLED, FailureKind.CANCELLED, None)


async def test_silence_counts_from_the_line_on(tmp_path: Path) -> None:
    async with licensed(tmp_path, "tree") as licence:
        cmd = licence.command("exec sleep 1000")
        spec = JobSpec(name="job", cmd=cmd, timeout_from="^Starting", idle_timeout=0.1)
        handles = await licence.jobs.session.submit([spec])
        await licence.grant()
        event = await licence.jobs.session.completed(handles["job"])
    assert kind(event) is FailureKind.IDLE
    assert event.started is not None


async def test_a_pattern_that_takes_too_long_lets_the_limits_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def expensive(*_: object) -> None:
        raise JudgingError("judging exceeded its budget of 10 s")

    monkeypatch.setattr(Verdicts, "start_follower", expensive)
    async with local(tmp_path) as jobs:
        event = await jobs.run("exec sleep 1000", timeout_from="x", timeout=0.2)
    assert kind(event) is FailureKind.TIMEOUT
    why = "its log is not searched for timeout_from any longer: judging exceeded its budget of 10 s"
    assert f"job 'job' counts as running: {why}" in caplog.text


# ------------------------------------------------------------------ batch systems, and others


async def test_on_a_cluster_each_wait_has_a_limit_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    def behave(system: ScriptedSystem, element: Element) -> None:
        log = tmp_path / element.job / "job.log"
        system.after(50, lambda: system.run(element))
        if element.job == "runs":
            system.after(100, lambda: log.write_text("Starting\n"))
            system.after(150, lambda: system.end(element))

    async with Stage(tmp_path, monkeypatch).open(behave) as scene:
        for name in ("runs", "waits"):
            spec = JobSpec(name=name, cmd="true", timeout_from="^Starting", queue_timeout=80, timeout=200)
            await scene.submit(spec)
        runs, waits = await scene.completion("runs"), await scene.completion("waits")
        assert scene.progress("runs") == [("QUEUED", f"on n1, {WAITS}"), ("RUNNING", "n1")]
        assert scene.progress("waits") == [("QUEUED", f"on n1, {WAITS}")]
    assert runs.status is JobStatus.PASSED
    assert runs.started is not None
    assert 100 <= runs.started - runs.submitted <= 102
    assert kind(waits) is FailureKind.QUEUE_TIMEOUT
    assert waits.reason is not None
    assert waits.reason.message.startswith("waited for a line that matches '^Starting' (timeout_from) for longer")
    assert 130 <= waits.ended - waits.submitted <= 150


async def test_a_job_that_is_started_again_waits_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    log = tmp_path / "job" / "job.log"

    def requeued(system: ScriptedSystem, element: Element) -> None:
        def requeue() -> None:
            element.word, element.note, element.restarts = "PENDING", "BeginTime", 1
            log.write_text("")

        system.after(1, lambda: system.run(element))
        system.after(100, requeue)
        system.after(150, lambda: system.run(element, "n2"))
        system.after(200, lambda: log.write_text("Starting\n"))
        system.after(250, lambda: system.end(element, restart=1))

    async with Stage(tmp_path, monkeypatch).open(requeued) as scene:
        await scene.submit(JobSpec(name="job", cmd="true", timeout_from="^Starting", queue_timeout=110))
        event = await scene.completion("job")
        assert scene.progress("job") == [
            ("QUEUED", f"on n1, {WAITS}"),
            ("QUEUED", "BeginTime"),
            ("QUEUED", f"on n2, {WAITS}"),
            ("RUNNING", "n2"),
        ]
    assert event.status is JobStatus.PASSED
    assert event.started is not None
    assert event.started - event.submitted >= 200


async def test_a_short_job_of_a_cluster_has_run_if_its_log_has_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    def short(system: ScriptedSystem, element: Element) -> None:
        if element.job == "runs":
            (tmp_path / "runs" / "job.log").write_text("Starting\n")
        system.end(element)

    async with Stage(tmp_path, monkeypatch).open(short) as scene:
        await scene.submit(*(JobSpec(name=name, cmd="true", timeout_from="^Starting") for name in ("runs", "never")))
        runs, never = await scene.completion("runs"), await scene.completion("never")
    assert (runs.status, runs.started is None) == (JobStatus.PASSED, False)
    assert (never.status, never.started is None) == (JobStatus.PASSED, True)


async def test_a_backend_that_does_not_see_logs_fails_the_job(autojump_clock: MockClock) -> None:
    backend = FakeBackend()
    async with opened(backend) as history:
        await backend.submit_many([job("a", timeout_from="^Starting"), job("b")])
    event = history.completion("a")
    assert kind(event) is FailureKind.LAUNCH_ERROR
    assert event.reason is not None
    assert event.reason.message == "it has timeout_from, and backend 'fake' does not see what its jobs write"
    assert history.completion("b").status is JobStatus.PASSED
