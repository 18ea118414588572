"""Processes and threads that are stuck in the kernel, for real: in a file system that is frozen, or does not answer."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from runtime.helper import process as helper_process
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.process.filesystems import MOST_STALLED
from tests.backend.local_jobs import local

pytestmark = [pytest.mark.root, pytest.mark.slow]

STEP_TIMEOUT = 0.2
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
        """Block all writes to it."""
        subprocess.run(["fsfreeze", "-f", self.path], check=True)
        self._frozen = True

    def thaw(self) -> None:
        """Continue the writes."""
        if self._frozen:
            subprocess.run(["fsfreeze", "-u", self.path], check=True)
            self._frozen = False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    yield disk
    disk.thaw()
    subprocess.run(["umount", disk.path], check=True)


class Silent:
    """A file system that does not answer: one in user space, whose program reads no requests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._requests = -1

    def mount(self) -> None:
        """From now on every access blocks."""
        self._path.mkdir(exist_ok=True)
        self._requests = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self._requests},rootmode=40000,user_id=0,group_id=0".encode()
        if self._libc.mount(b"silent", os.fsencode(self._path), b"fuse", 0, options):
            raise OSError(ctypes.get_errno(), "mount")

    def unmount(self) -> None:
        """Fail all blocked accesses, and make it an ordinary directory again. Idempotent."""
        if self._requests >= 0:
            os.close(self._requests)
            self._requests = -1
            if self._libc.umount2(os.fsencode(self._path), 2):
                raise OSError(ctypes.get_errno(), "umount")


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Silent]:
    (tmp_path / "run").mkdir()
    silent = Silent(tmp_path / "run" / "silent")
    yield silent
    silent.unmount()


def is_stuck(pid: int) -> bool:
    """Whether it is in uninterruptible sleep."""
    return "\nState:\tD" in Path(f"/proc/{pid}/status").read_text()


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_l15_a_process_that_writes_to_a_frozen_file_system_is_named_and_holds_nothing_up(
    tmp_path: Path, disk: Disk, containment: str
) -> None:
    options = {"containment": containment, "term_timeout": STEP_TIMEOUT, "kill_timeout": STEP_TIMEOUT}
    async with local(tmp_path / "run", **options) as here:
        file = tmp_path / "pid"
        script = f"echo $$ > {file}.new; mv {file}.new {file}; exec touch {disk.path}/x"
        disk.freeze()
        handles = await here.session.submit([JobSpec(name="stuck", cmd=script)])
        while not file.exists():  # noqa: ASYNC110 - another process makes it
            await trio.sleep(0.001)
        pid = int(file.read_text())
        while not is_stuck(pid):  # noqa: ASYNC110 - which has no event
            await trio.sleep(0.001)
        with trio.fail_after(STEP_TIMEOUT + 10):
            await here.backend.kill("stuck")
            event = await here.session.completed(handles["stuck"])
        assert event.status is JobStatus.KILLED
        assert event.reason is not None
        assert event.reason.kind is FailureKind.LOST
        assert f"processes {pid} (unreaped) did not end within {STEP_TIMEOUT:g} s of SIGKILL" in event.reason.message
        assert is_stuck(pid)
        assert (await here.run(name="next")).status is JobStatus.PASSED
        leaving = trio.current_time()
    assert is_stuck(pid)  # the backend did not wait for it
    assert trio.current_time() - leaving < STEP_TIMEOUT + 10
    disk.thaw()
    if containment == "group":
        os.waitpid(pid, 0)  # it is our own child, and the backend has abandoned it
    while exists(pid) or helper_process._left:
        helper_process.reap_left()
        await trio.sleep(0.001)


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_directories_on_a_file_system_that_does_not_answer_hold_up_no_other_job(
    tmp_path: Path, disk: Disk, containment: str
) -> None:
    """More of them than there are threads, whether threads or shims make them."""
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


MANY = 100
"""More than may be stalled."""


async def test_logs_that_cannot_be_read_hold_up_no_other_job(tmp_path: Path, silent: Silent) -> None:
    """More of them than may be stalled; the others are launched and judged, with a bounded number of threads."""
    assert MANY > MOST_STALLED
    os.mkfifo(tmp_path / "go")
    go = os.open(tmp_path / "go", os.O_RDWR)
    script = f"echo PASSED; read line <{tmp_path}/go"
    jobs = [
        JobSpec(name=f"silent{number}", cmd=script, odir=f"{tmp_path}/run/silent/{number}", pass_patterns=["^PASSED"])
        for number in range(MANY)
    ]
    before = threading.active_count()
    async with local(tmp_path / "run") as here:
        await here.session.submit(jobs)
        silent.mount()
        os.write(go, b"\n" * MANY)
        for number in range(3):
            event = await here.run("echo PASSED", name=f"other{number}", pass_patterns=["^PASSED"])
            assert event.status is JobStatus.PASSED
        assert len(here.session.history.completions) == 3
        assert threading.active_count() - before < MANY
        silent.unmount()
        await here.session.history.wait_until(lambda: len(here.session.history.completions) == 3 + MANY)
        statuses = {event.job_id: event.status for event in here.session.history.completions}
        assert JobStatus.PASSED in (statuses[job.id] for job in jobs)  # those that waited for a free thread
    os.close(go)


async def test_jobs_that_cannot_be_launched_hold_up_no_other(tmp_path: Path, silent: Silent) -> None:
    """More of them than may be stalled; each needs a thread."""
    jobs = [
        JobSpec(name=f"silent{number}", cmd="true", odir=f"{tmp_path}/run/silent/{number}") for number in range(MANY)
    ]
    async with local(tmp_path / "run") as here:
        silent.mount()
        history = here.session.history
        others = [JobSpec(name=f"other{number}", cmd="true") for number in range(3)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.submit, [*jobs, *others])
            await history.wait_until(lambda: len(history.completions) == len(others))
            assert {event.job_id for event in history.completions} == {job.id for job in others}
            silent.unmount()
        await history.wait_until(lambda: len(history.completions) == len(others) + len(jobs))
