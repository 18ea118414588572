"""`stop_on_fail_pattern`: a job is stopped at the first line that says that it has failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.backend.local import LocalBackend, local_job
from runtime.job import FailureKind, JobStatus
from tests.backend.local_jobs import local


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_job, "_WATCH_INTERVAL", 0.01)


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_job_is_stopped_at_its_first_fail_pattern(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment, stop_on_fail_pattern=True) as jobs:
        event = await jobs.run("echo good; echo UVM_ERROR bad; exec sleep 1000", fail_patterns=["^UVM_ERROR"])
    assert event.status is JobStatus.FAILED
    assert event.reason is not None
    assert event.reason.kind is FailureKind.FAIL_PATTERN
    assert event.reason.message == "a fail pattern matched: UVM_ERROR bad"
    assert event.reason.lines == [2, (1, 2)]
    assert event.reason.context == ("good", "UVM_ERROR bad")


async def test_a_job_without_a_match_ends_as_it_ends(tmp_path: Path) -> None:
    async with local(tmp_path, stop_on_fail_pattern=True) as jobs:
        assert (await jobs.run("echo good", fail_patterns=["^UVM_ERROR"])).status is JobStatus.PASSED
        event = await jobs.run("exit 3", name="other", fail_patterns=["^UVM_ERROR"])
    assert event.reason is not None
    assert event.reason.message == "exit code 3"


async def test_a_job_that_wipes_its_log_has_failed_all_the_same(tmp_path: Path) -> None:
    async with local(tmp_path, stop_on_fail_pattern=True) as jobs:
        event = await jobs.run(
            """trap ': > "$LOG"; exit 0' TERM; echo UVM_ERROR bad; sleep 1000 & wait""",
            exports={"LOG": str(tmp_path / "job" / "job.log")},
            fail_patterns=["^UVM_ERROR"],
        )
    assert event.reason is not None
    assert event.reason.kind is FailureKind.FAIL_PATTERN


async def test_a_log_that_cannot_be_watched_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with local(tmp_path, stop_on_fail_pattern=True) as jobs:
        event = await jobs.run(
            'rm "$LOG"; mkfifo "$GO"; read line < "$GO"',
            exports={"LOG": str(tmp_path / "job" / "job.log"), "GO": str(tmp_path / "go")},
            fail_patterns=["^UVM_ERROR"],
            timeout=0.5,
        )
    assert event.status is JobStatus.KILLED
    assert "is not watched any longer: [Errno 2]" in caplog.text


@pytest.mark.parametrize("value", [1, "yes", None])
def test_it_is_true_or_false(value: Any) -> None:
    with pytest.raises(ValueError, match="stop_on_fail_pattern is"):
        LocalBackend(stop_on_fail_pattern=value)
