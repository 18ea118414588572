"""`idle_timeout`: a job that writes nothing for so long is stopped, and says so."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.backend import log_clock, log_watch
from runtime.backend.fake import FakeBackend
from runtime.backend.local.standstill_watch import StandstillWatch
from runtime.backend.log_watch import LogWatch
from runtime.backend.verdict_pool import VerdictPool
from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus
from tests.backend.batch.scripted import Element, ScriptedSystem, Stage
from tests.backend.local_jobs import local
from tests.backend.manual import ManualBackend, job, opened


def why(event: JobCompletionEvent) -> str:
    assert event.reason is not None
    assert (event.status, event.reason.kind) == (JobStatus.KILLED, FailureKind.IDLE)
    return event.reason.message


def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (log_clock, log_watch):
        monkeypatch.setattr(module, "LOOK_INTERVAL", 0.01)


# ------------------------------------------------------------------ local jobs


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_job_that_hangs_is_stopped_and_its_last_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str
) -> None:
    look_often(monkeypatch)
    async with local(tmp_path, containment=containment) as jobs:
        event = await jobs.run("echo begin; echo waits for data; echo; exec sleep 1000", idle_timeout=0.1)
    message = why(event)
    assert re.match(r"wrote nothing to its log for [0-9.]+ s \(idle_timeout 0\.1 s\); ", message)
    assert message.endswith("its last line: waits for data")
    assert event.reason is not None
    assert list(event.reason.context or ()) == ["begin", "waits for data", ""]


async def test_a_job_that_ends_is_not_idle(tmp_path: Path) -> None:
    async with local(tmp_path) as jobs:
        assert (await jobs.run("true", idle_timeout=1000)).status is JobStatus.PASSED


@pytest.mark.parametrize(
    "put",
    [
        "mkfifo job.log",
        "mkdir job.log",
        "ln -s /etc/passwd job.log",
        "ln -s job.log job.log",
        "ln -s /dev/zero job.log",
        ":",
    ],
    ids=["fifo", "directory", "link", "loop", "device", "removed"],
)
async def test_what_a_job_puts_in_the_place_of_its_log_is_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: str
) -> None:
    look_often(monkeypatch)
    async with local(tmp_path) as jobs:
        odir = tmp_path / "job"
        event = await jobs.run(f"cd {odir}; rm job.log; {put}; exec sleep 1000", idle_timeout=0.1)
    assert why(event).endswith("; its log has no line")


# ------------------------------------------------------------------ in virtual time


class WatchingBackend(ManualBackend):
    watches_logs = True


class Logs:
    """A `LogWatch` on a backend whose jobs do nothing, with logs that a test writes. Looks are made in the loop."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.backend = WatchingBackend()
        self.ended: set[str] = set()
        self.lag = 0.0
        monkeypatch.setattr(trio.to_thread, "run_sync", self._inline)

    async def _inline(self, function: Callable[..., object], *args: object, **_options: object) -> object:
        await trio.sleep(self.lag)
        return function(*args)

    def watch(self) -> LogWatch:
        return LogWatch(self.backend.control, VerdictPool(trio.CapacityLimiter(1)), lambda job: job.id in self.ended)

    def path(self, name: str) -> Path:
        return self.directory / name

    def write(self, name: str, text: str) -> None:
        with self.path(name).open("a") as log:
            log.write(text)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logs:
    return Logs(tmp_path, monkeypatch)


async def test_each_job_has_a_count_of_its_own(logs: Logs, autojump_clock: MockClock) -> None:
    backend = logs.backend
    async with opened(backend), trio.open_nursery() as nursery:
        watch = logs.watch()
        nursery.start_soon(watch.run)
        for name, limit in (("writes", 10), ("hangs", 10), ("patient", 100), ("ended", 10), ("gone", 10)):
            await backend.submit(job(name, idle_timeout=limit))
            watch.add(backend.jobs[name], str(logs.path(name)))
        await backend.submit(job("other"))
        watch.add(backend.jobs["other"], str(logs.path("other")))
        logs.ended.add("ended")  # only its verdict is missing
        watch.remove(backend.jobs["gone"])
        logs.write("hangs", "a\n\x1b[31mlast\n \n")
        for _ in range(4):
            await trio.sleep(8)
            logs.write("writes", "x")
        assert backend.killed == ["hangs"]
        stop = backend.jobs["hangs"].stop
        assert stop is not None
        assert stop.reason.message.endswith("(idle_timeout 10 s); its last line: last")
        assert 10 <= stop.at <= 12.5
        await trio.sleep(100)
        assert backend.killed == ["hangs", "writes", "patient"]
        for name in ("hangs", "writes", "patient"):
            backend.die(name)
        for name in ("ended", "gone", "other"):
            backend.end(name)
        nursery.cancel_scope.cancel()


async def test_a_file_system_that_does_not_answer_stops_no_job(logs: Logs, autojump_clock: MockClock) -> None:
    backend = logs.backend
    async with opened(backend), trio.open_nursery() as nursery:
        watch = logs.watch()
        nursery.start_soon(watch.run)
        await backend.submit(job(idle_timeout=10))
        watch.add(backend.jobs["a"], str(logs.path("a")))
        await trio.sleep(5)
        logs.lag = 1000.0
        await trio.sleep(900)
        assert backend.killed == []
        logs.lag = 0.0
        await trio.sleep(105)
        assert backend.killed == [], "it may have been held up as well"
        await trio.sleep(15)
        assert backend.killed == ["a"]
        backend.die("a")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("all_stood_still", [True, False])
async def test_time_in_which_all_stood_still_does_not_count(
    logs: Logs, autojump_clock: MockClock, all_stood_still: bool
) -> None:
    backend = logs.backend

    async def flush() -> None:
        if all_stood_still:
            stands.note_theirs(due, now)

    async with opened(backend), trio.open_nursery() as nursery:
        watch = logs.watch()
        stands = StandstillWatch(backend.control, flush)
        backend.control.deadlines.catch_up = stands.catch_up
        nursery.start_soon(watch.run)
        await backend.submit(job(idle_timeout=10))
        watch.add(backend.jobs["a"], str(logs.path("a")))
        await trio.testing.wait_all_tasks_blocked()
        autojump_clock.autojump_threshold = math.inf
        autojump_clock.jump(100)
        now = time.monotonic()
        due = now - 100
        stands.note_ours(due)
        autojump_clock.autojump_threshold = 0
        await trio.sleep(2)
        assert backend.killed == ([] if all_stood_still else ["a"])
        await trio.sleep(10)
        assert backend.killed == ["a"], "it has a limit all the same"
        backend.die("a")
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------ batch systems, and others


async def test_a_job_of_a_batch_system_is_given_the_time_in_which_files_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    log = tmp_path / "job" / "job.log"

    def writes(system: ScriptedSystem, element: Element) -> None:
        system.after(100, lambda: system.run(element))
        system.after(110, write)

    def write() -> None:
        log.write_text("at work\n")
        written.append(trio.current_time())

    written: list[float] = []

    async with Stage(tmp_path, monkeypatch).open(writes) as scene:  # files appear up to 20 s late
        await scene.submit(JobSpec(name="job", cmd="true", idle_timeout=10))
        event = await scene.completion("job")
    assert why(event).endswith("its last line: at work")
    assert 30 <= event.ended - written[0] < 35


async def test_a_job_that_goes_back_to_the_queue_is_not_idle_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    def requeued(system: ScriptedSystem, element: Element) -> None:
        system.after(1, lambda: system.run(element))

        def requeue() -> None:
            element.word, element.restarts = "PENDING", 1

        system.after(20, requeue)
        system.after(200, lambda: system.run(element))
        system.after(215, lambda: system.end(element, restart=1))

    async with Stage(tmp_path, monkeypatch).open(requeued) as scene:
        await scene.submit(JobSpec(name="job", cmd="true", idle_timeout=10))
        assert (await scene.completion("job")).status is JobStatus.PASSED


async def test_a_backend_that_does_not_see_logs_fails_the_job(autojump_clock: MockClock) -> None:
    backend = FakeBackend()
    async with opened(backend) as history:
        await backend.submit_many([job("a", idle_timeout=10), job("b")])
    event = history.completion("a")
    assert event.reason is not None
    assert event.reason.kind is FailureKind.LAUNCH_ERROR
    assert event.reason.message == "it has idle_timeout, and backend 'fake' does not see what its jobs write"
    assert history.completion("b").status is JobStatus.PASSED
