"""A disk that is full, for real: before a job writes its first byte, and while it writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.job import FailureKind, JobSpec, JobStatus
from tests.backend.local_jobs import local
from tests.mounts import small_disk

pytestmark = pytest.mark.root

SIZE = 256 << 10
"""The size of the disk, in bytes."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", SIZE) as path:
        yield path


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(os.sysconf("SC_PAGESIZE")))


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_full_disk_before_the_first_byte_fails_only_that_job(
    tmp_path: Path, disk: Path, containment: str
) -> None:
    async with local(tmp_path / "run", containment=containment) as here:
        fill(disk / "full")
        jobs = [JobSpec(name="a", cmd="true", odir=str(disk / "a")), JobSpec(name="b", cmd="true")]
        handles = await here.session.submit(jobs)
        event = await here.session.completed(handles["a"])
        assert event.status is JobStatus.KILLED
        assert event.reason is not None
        assert event.reason.kind is FailureKind.LAUNCH_ERROR
        assert event.reason.message.startswith("cannot be started: ENOSPC, No space left on device")
        assert (await here.session.completed(handles["b"])).status is JobStatus.PASSED
        (disk / "full").unlink()
        assert (await here.run(name="again", odir=str(disk / "again"))).status is JobStatus.PASSED


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_disk_that_fills_up_while_a_job_writes_is_noticed_by_that_job(
    tmp_path: Path, disk: Path, containment: str
) -> None:
    async with local(tmp_path / "run", containment=containment) as here:
        # Its first output is in the log, and its last output is not.
        cmd = f"echo started; head -c {2 * SIZE} /dev/zero; echo TEST PASSED"
        event = await here.run(cmd, odir=str(disk / "job"), pass_patterns=["^started", "TEST PASSED$"])
        assert event.status is JobStatus.FAILED
        assert event.reason is not None
        assert event.reason.kind in (FailureKind.EXIT_CODE, FailureKind.PASS_PATTERN_MISSING)  # depends on its shell
        assert (disk / "job" / "job.log").stat().st_size < SIZE
        assert (await here.run(name="elsewhere")).status is JobStatus.PASSED
