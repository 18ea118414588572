"""`max_log`: a log that grows beyond its limit ends its job, before it fills the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.local import local_job
from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus
from tests.backend.batch.scripted import Element, ScriptedSystem, Stage
from tests.backend.local_jobs import local

BOTH = pytest.mark.parametrize("containment", ["group", "tree"])


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_job, "_WATCH_INTERVAL", 0.01)


def check(event: JobCompletionEvent, message: str) -> None:
    assert event.reason is not None
    assert (event.status, event.reason.kind) == (JobStatus.FAILED, FailureKind.LOG_LIMIT)
    assert event.reason.message.startswith("its log has ")
    assert event.reason.message.endswith(message)


ENOUGH = 4 << 30
"""The most bytes that an endless job of a test writes, so that a job that outlives its test fills no disk."""


@BOTH
async def test_a_job_that_writes_without_end_is_stopped(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as jobs:
        cmd = f"yes 'assertion failed' | head -c {ENOUGH}"
        event = await jobs.run(cmd, max_log=64 << 10, fail_patterns=["^assertion"])
        assert (jobs.run_dir / "job" / "job.log").stat().st_size < ENOUGH
    check(event, "; expected at most 64 KiB (max_log); a fail pattern matched: assertion failed")
    assert event.reason is not None
    assert event.reason.context is not None


@BOTH
@pytest.mark.parametrize("patterns", [[], ["a"]], ids=["no-pattern", "patterns"])
@pytest.mark.parametrize("size", [200, 100_000], ids=["short", "long"])
async def test_a_log_is_as_large_as_it_is_when_the_job_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str, patterns: list[str], size: int
) -> None:
    monkeypatch.setattr(local_job, "_WATCH_INTERVAL", 1000.0)
    cmd = f"yes a | head -c {size}"
    async with local(tmp_path, containment=containment) as jobs:
        for name in ("one", "two"):  # the second may be judged without a thread
            event = await jobs.run(cmd, name=name, max_log=size - 1, pass_patterns=patterns)
            check(event, "(max_log)")
            event = await jobs.run(cmd, name=f"{name}-fits", max_log=size, pass_patterns=patterns)
            assert event.status is JobStatus.PASSED
        event = await jobs.run(f"{cmd}; exit 3", name="fails", max_log=size - 1)
        assert event.reason is not None
        assert event.reason.kind is FailureKind.EXIT_CODE


async def test_a_job_of_a_batch_system_is_stopped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    log = tmp_path / "job" / "job.log"

    def writes(system: ScriptedSystem, element: Element) -> None:
        system.after(1, lambda: system.run(element))
        system.after(5, lambda: log.write_text("x" * 2000))

    async with Stage(tmp_path, monkeypatch).open(writes) as scene:
        began = trio.current_time()
        await scene.submit(JobSpec(name="job", cmd="true", max_log=1000))
        event = await scene.completion("job")
        assert 5 <= trio.current_time() - began < 10
    check(event, "its log has 1.953 KiB; expected at most 1000 bytes (max_log)")
