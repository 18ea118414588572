"""The completion of a job that was stopped has the first failure in its log, and the last lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.job import FailureKind, JobSpec, JobStatus
from tests.backend.batch.scripted import Element, ScriptedSystem, Stage
from tests.backend.local_jobs import hear, local

BOTH = pytest.mark.parametrize("containment", ["group", "tree"])
HANGS = "echo start; echo 'UVM_ERROR @ 5 ns mismatch'; echo waiting; exec sleep 1000"


@BOTH
async def test_a_job_that_hangs_says_what_failed_in_it(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as jobs:
        event = await jobs.run(HANGS, fail_patterns=["^UVM_ERROR"], pass_patterns=["PASSED"], timeout=0.5)
    reason = event.reason
    assert reason is not None
    assert (event.status, reason.kind) == (JobStatus.KILLED, FailureKind.TIMEOUT)
    assert reason.message == (
        "ran for longer than its timeout of 0.5 s; a fail pattern matched: UVM_ERROR @ 5 ns mismatch"
    )
    assert (reason.lines, reason.context) == ([2, (1, 3)], ("start", "UVM_ERROR @ 5 ns mismatch", "waiting"))


@BOTH
@pytest.mark.parametrize("patterns", [[], ["^FATAL"]], ids=["no-pattern", "no-match"])
async def test_a_job_that_was_killed_says_its_last_lines(tmp_path: Path, containment: str, patterns: list[str]) -> None:
    statuses: list[JobStatus] = []
    async with local(tmp_path, containment=containment) as jobs:
        go = tmp_path / "go"
        os.mkfifo(go)
        cmd = f"seq 20; echo > {go}; exec sleep 1000"
        spec = JobSpec(name="job", cmd=cmd, fail_patterns=patterns, post_finish=statuses.append)
        handle = (await jobs.session.submit([spec]))["job"]
        await hear(go)
        await jobs.backend.kill("job", by="a test")
        event = await jobs.session.completed(handle)
    assert event.reason is not None
    assert (event.status, event.reason.kind) == (JobStatus.KILLED, FailureKind.CANCELLED)
    assert event.reason.message == "killed by a test"
    assert event.reason.context == tuple(str(number) for number in range(11, 21))
    assert statuses == [JobStatus.KILLED]


async def test_a_log_that_takes_long_holds_up_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with local(tmp_path, containment="group", kill_timeout=0.5) as jobs:

        async def hang(*_: object) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(jobs.driver.services.finisher.verdicts, "of", hang)
        event = await jobs.run(HANGS, fail_patterns=["^UVM_ERROR"], timeout=0.5)
    assert event.reason is not None
    assert (event.reason.message, event.reason.context) == ("ran for longer than its timeout of 0.5 s", None)


@pytest.mark.parametrize(
    ("word", "message"),
    [("PREEMPTED", "Scripted job"), ("CANCELLED", "killed by a test")],
)
async def test_a_job_of_a_batch_system_says_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, word: str, message: str
) -> None:
    log = tmp_path / "job" / "job.log"

    def hangs(system: ScriptedSystem, element: Element) -> None:
        def begin() -> None:
            log.write_text("start\nUVM_ERROR bad\nwaiting\n")
            system.run(element)
            if word == "PREEMPTED":
                system.after(1, lambda: system.end(element, word, status="143", stopped="TERM"))

        system.after(1, begin)

    async with Stage(tmp_path, monkeypatch).open(hangs) as scene:
        await scene.submit(JobSpec(name="job", cmd="true", fail_patterns=["^UVM_ERROR"]))
        await trio.sleep(2)
        if word == "CANCELLED":
            await scene.backend.kill("job", by="a test")
        event = await scene.completion("job")
    assert event.reason is not None
    assert event.reason.kind is FailureKind[word]
    assert event.reason.message.startswith(message)
    assert event.reason.message.endswith("; a fail pattern matched: UVM_ERROR bad")
    assert (event.reason.lines, event.reason.context) == ([2, (1, 3)], ("start", "UVM_ERROR bad", "waiting"))
