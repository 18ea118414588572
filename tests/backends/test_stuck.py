"""A process that is stuck in the kernel, for real: it writes to a file system that is frozen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.process import keeper
from tests.backends.local_jobs import local

pytestmark = [pytest.mark.root, pytest.mark.slow]

GRACE = 0.2
"""Seconds for SIGTERM, and again for SIGKILL."""


class Disk:
    """A small file system in a file."""

    def __init__(self, directory: Path) -> None:
        image = directory / "image"
        with image.open("wb") as file:
            file.truncate(32 << 20)
        self.path = directory / "disk"
        self.path.mkdir()
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, self.path], check=True)
        self._frozen = False

    def freeze(self) -> None:
        """Let whoever writes to it wait."""
        subprocess.run(["fsfreeze", "-f", self.path], check=True)
        self._frozen = True

    def thaw(self) -> None:
        """Let them go on."""
        if self._frozen:
            subprocess.run(["fsfreeze", "-u", self.path], check=True)
            self._frozen = False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    yield disk
    disk.thaw()
    subprocess.run(["umount", disk.path], check=True)


def is_stuck(pid: int) -> bool:
    """Whether no signal reaches it."""
    return "\nState:\tD" in Path(f"/proc/{pid}/status").read_text()


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_l15_who_writes_to_a_frozen_file_system_is_named_and_holds_nothing_up(
    tmp_path: Path, disk: Disk, containment: str
) -> None:
    options = {"containment": containment, "term_timeout": GRACE, "kill_timeout": GRACE}
    async with local(tmp_path / "run", **options) as here:
        file = tmp_path / "pid"
        script = f"echo $$ > {file}.new; mv {file}.new {file}; exec touch {disk.path}/x"
        disk.freeze()
        handles = await here.session.submit([JobSpec(name="stuck", cmd=script)])
        while not file.exists():  # noqa: ASYNC110 - another process makes it
            await trio.sleep(0.001)
        pid = int(file.read_text())
        while not is_stuck(pid):  # noqa: ASYNC110 - nor can it be told when
            await trio.sleep(0.001)
        with trio.fail_after(GRACE + 10):
            await here.backend.kill("stuck")
            event = await here.session.completed(handles["stuck"])
        assert event.status is JobStatus.KILLED
        assert event.reason is not None
        assert event.reason.kind is FailureKind.LOST
        assert f"processes {pid} (unreaped) did not end within {GRACE:g} s of SIGKILL" in event.reason.message
        assert is_stuck(pid)
        assert (await here.run(name="next")).status is JobStatus.PASSED
        leaving = trio.current_time()
    assert is_stuck(pid)  # nobody has waited for it
    assert trio.current_time() - leaving < GRACE + 10
    disk.thaw()
    if containment == "group":
        os.waitpid(pid, 0)  # it is our own child, and nobody waits for it any longer
    while exists(pid) or keeper._left_behind:
        keeper.reap_those_left_behind()
        await trio.sleep(0.001)


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_directories_on_a_file_system_that_does_not_answer_hold_up_no_other_job(
    tmp_path: Path, disk: Disk, containment: str
) -> None:
    """Whether threads make them, or shims: more of them than there are threads."""
    stuck = [JobSpec(name=f"stuck{number}", cmd="true", odir=f"{disk.path}/{number}") for number in range(12)]
    others = [JobSpec(name=f"other{number}", cmd="true") for number in range(12)]
    async with local(tmp_path / "run", containment=containment) as here:
        disk.freeze()
        history = here.session.history
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.submit, [job for pair in zip(stuck, others, strict=True) for job in pair])
            with trio.fail_after(30):
                await history.wait_until(lambda: len(history.completions) == len(others))
            assert {event.job_id for event in history.completions} == {job.id for job in others}
            assert (await here.run(name="next")).status is JobStatus.PASSED
            disk.thaw()
        await history.wait_until(lambda: len(history.completions) == len(others) + 1 + len(stuck))
        assert {event.status for event in history.completions} == {JobStatus.PASSED}
