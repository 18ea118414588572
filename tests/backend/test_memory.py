"""`memory`: a job that needs more than its ceiling is ended, and those beside it are not."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from runtime.backend.fake import FakeBackend
from runtime.backend.local import memory_watch
from runtime.backend.local.ceilings import Ceilings
from runtime.errors import SpecError
from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus, Kind
from runtime.job.spec import MIN_MEMORY
from runtime.process import memory_use
from runtime.process.memory_cgroups import JobCgroup, MemoryCgroups
from runtime.process.memory_use import MemoryTable, WatchedMemory
from runtime.scheduler.run import run_jobs
from tests.backend.local_jobs import TOKEN, alive, local
from tests.process import memory_places
from tests.process.memory_places import FIRST, Second, needs_first, of_the_kernel

LIMIT = 200 << 20
MESSAGE = "of the 200 MiB of memory that it may use (memory)"

BOTH = pytest.mark.parametrize("containment", ["tree", "group"])

Way = Callable[[pytest.MonkeyPatch], None]


def by_cgroup(_monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the kernel."""


WAYS = pytest.mark.parametrize(
    "way", [pytest.param(by_cgroup, marks=needs_first, id="cgroup"), pytest.param(memory_places.none, id="watch")]
)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_watch, "_INTERVAL", 0.01)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Each cgroup is removed."""
    yield
    assert list(FIRST.glob(f"**/job-runtime-{os.getpid()}-*")) == []


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


HUNGRY = python("import time; x = bytearray(2 << 30); time.sleep(1000)")
HUNGRY_CHILD = python(
    "import os, time\nif os.fork() == 0:\n    x = bytearray(2 << 30)\n    time.sleep(1000)\nos.wait()\nprint('I live')"
)


def why(event: JobCompletionEvent) -> tuple[JobStatus, Kind | None]:
    return event.status, None if event.reason is None else event.reason.kind


OVER = (JobStatus.FAILED, FailureKind.OUT_OF_MEMORY)


def check(event: JobCompletionEvent) -> None:
    assert why(event) == OVER
    assert event.reason is not None
    assert event.reason.message.startswith("used ")
    assert MESSAGE in event.reason.message


# ------------------------------------------------------------------ real processes


@pytest.mark.slow
@WAYS
@BOTH
async def test_a_job_that_takes_2_gib_is_ended_and_ten_beside_it_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way, containment: str
) -> None:
    way(monkeypatch)
    innocent = python("x = bytearray(50 << 20); print(len(x))")
    async with local(tmp_path, containment=containment) as jobs:
        handles = await jobs.session.submit(
            [
                JobSpec(name="hungry", cmd=HUNGRY, memory=LIMIT),
                *(JobSpec(name=f"innocent{number}", cmd=innocent, memory=LIMIT) for number in range(10)),
            ]
        )
        events = {name: await jobs.session.completed(handle) for name, handle in handles.items()}
    check(events.pop("hungry"))
    assert {event.status for event in events.values()} == {JobStatus.PASSED}


@pytest.mark.slow
@WAYS
@BOTH
async def test_a_job_whose_child_takes_2_gib_is_ended_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way, containment: str
) -> None:
    way(monkeypatch)
    async with local(tmp_path, containment=containment) as jobs:
        exports = {TOKEN: str(tmp_path)}
        cmd = [*HUNGRY_CHILD[:-1], f"{HUNGRY_CHILD[-1]}; time.sleep(1000)"]
        event = await jobs.run(cmd, memory=LIMIT, exports=exports)
        assert not alive(str(tmp_path))
    check(event)


@pytest.mark.slow
@pytest.mark.parametrize("code", ["", "raise SystemExit(7)"], ids=["passes", "fails"])
@pytest.mark.parametrize("containment", [pytest.param(each, marks=needs_first) for each in ("tree", "group")])
async def test_a_job_whose_child_the_kernel_has_killed_is_over_whatever_it_makes_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str, code: str
) -> None:
    monkeypatch.setattr(memory_watch, "_INTERVAL", 1000.0)
    hooked: list[JobStatus] = []
    async with local(tmp_path, containment=containment) as jobs:
        event = await jobs.run(
            [*HUNGRY_CHILD[:-1], f"{HUNGRY_CHILD[-1]}\n{code}"], memory=LIMIT, post_finish=hooked.append
        )
        assert jobs.log() == "I live\n"
    check(event)
    assert hooked == [JobStatus.FAILED]
    assert event.reason is not None
    assert event.reason.message.endswith("; exit code 7") is bool(code)


WHERE = "sed -n s/^.*:memory://p /proc/self/cgroup"


@of_the_kernel
@BOTH
async def test_a_job_begins_in_a_cgroup_of_its_own_and_the_others_stay_out(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as jobs:
        for name in ("before", "with", "after"):
            await jobs.run(WHERE, name=name, memory=LIMIT if name == "with" else None)
        places = {name: Path(jobs.log(name).strip()) for name in ("before", "with", "after")}
        assert places["before"] == places["after"]
        assert places["with"].parent.parent == places["before"]
        directory = FIRST / places["with"].relative_to("/")
        assert directory.parent.exists()
        assert not directory.exists()
    assert not directory.parent.exists()


@of_the_kernel
@BOTH
async def test_what_is_not_started_leaves_no_cgroup(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as jobs:
        event = await jobs.run(["no-such-program"], memory=LIMIT)
        assert why(event) == (JobStatus.KILLED, FailureKind.LAUNCH_ERROR)
        assert list(FIRST.glob(f"**/job-runtime-{os.getpid()}-*/job-*")) == []


@of_the_kernel
@BOTH
async def test_a_client_of_the_jobserver_has_its_descriptors(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment, max_parallelism=2) as jobs:
        event = await jobs.run(f"{WHERE}; ls /proc/self/fd", memory=LIMIT, jobserver=True)
        assert event.status is JobStatus.PASSED
        place, *descriptors = jobs.log().split()
    assert "/job-runtime-" in place
    assert {"20", "21"} <= set(descriptors)


@of_the_kernel
async def test_a_cgroup_that_cannot_be_made_fails_its_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with local(tmp_path) as jobs:
        await jobs.run(memory=LIMIT)
        (made,) = FIRST.glob(f"**/job-runtime-{os.getpid()}-*")
        made.rmdir()
        event = await jobs.run(memory=LIMIT, name="late")
        assert (await jobs.run(name="other")).status is JobStatus.PASSED
    assert why(event) == (JobStatus.KILLED, FailureKind.LAUNCH_ERROR)
    assert event.reason is not None
    assert event.reason.message.startswith("cannot be started: ENOENT, No such file or directory: ")


@pytest.fixture
def no_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has entered a cgroup cannot leave it."""
    (tmp_path / "full").symlink_to("/dev/full")  # a file that can be opened, and not written
    make = MemoryCgroups.make

    def make_without_return(cgroups: MemoryCgroups, limit: int) -> JobCgroup:
        made = make(cgroups, limit)
        if limit != LIMIT:  # the trial
            return made
        made.entry = (made.entry[0], os.fsencode(tmp_path / "full"))
        return made

    monkeypatch.setattr(MemoryCgroups, "make", make_without_return)


@of_the_kernel
@pytest.mark.usefixtures("no_return")
@pytest.mark.parametrize("cmd", ["sleep 1000", ["no-such-program"]], ids=["started", "not started"])
async def test_a_shim_that_cannot_return_ends_and_its_job_with_it(tmp_path: Path, cmd: str | list[str]) -> None:
    async with local(tmp_path / "run", containment="tree") as jobs:
        event = await jobs.run(cmd, memory=LIMIT, exports={TOKEN: str(tmp_path)})
        assert why(event) == (JobStatus.KILLED, FailureKind.BACKEND_ERROR)
        assert not alive(str(tmp_path))
        assert (await jobs.run(WHERE, name="next")).status is JobStatus.PASSED
        assert "job-runtime" not in jobs.log("next")


@of_the_kernel
@pytest.mark.usefixtures("no_return")
@pytest.mark.parametrize("cmd", ["true", ["no-such-program"]], ids=["started", "not started"])
async def test_a_thread_that_cannot_return_starts_no_other_job(tmp_path: Path, cmd: str | list[str]) -> None:
    async with local(tmp_path / "run", containment="group") as jobs:
        event = await jobs.run(cmd, memory=LIMIT)
        assert event.status is (JobStatus.PASSED if cmd == "true" else JobStatus.KILLED)
        for name in ("next", "after"):  # by the thread that has launched that job
            assert (await jobs.run(WHERE, name=name)).status is JobStatus.PASSED
            assert "job-runtime" not in jobs.log(name)


@BOTH
async def test_a_job_that_is_killed_for_another_reason_keeps_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str
) -> None:
    memory_places.none(monkeypatch)
    async with local(tmp_path, containment=containment) as jobs:
        event = await jobs.run("exec sleep 1000", memory=LIMIT, timeout=0.1)
    assert why(event) == (JobStatus.KILLED, FailureKind.TIMEOUT)


# ------------------------------------------------------------------ which way it is


async def test_the_way_is_said_once_and_only_if_a_job_has_a_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    memory_places.none(monkeypatch)
    with caplog.at_level(logging.INFO, "runtime.backend.local"):
        async with local(tmp_path) as jobs:
            await jobs.run(name="without")
            assert "memory" not in caplog.text
            for name in ("one", "two"):
                await jobs.run(name=name, memory=LIMIT)
    (record,) = [record for record in caplog.records if "memory" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "backend 'local' watches the memory of its jobs, which may exceed their ceilings for a moment: "
        "there are no cgroups for them: the test says so"
    )


# ------------------------------------------------------------------ version 2, on a directory


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Second:
    return Second(tmp_path / "second", monkeypatch)


async def test_with_version_2_a_job_that_goes_on_after_a_kill_is_ended(second: Second, tmp_path: Path) -> None:
    async with local(tmp_path / "run", containment="tree") as jobs:
        handles = await jobs.session.submit([JobSpec(name="job", cmd="exec sleep 1000", memory=LIMIT)])
        (directory,) = [path for one in second.ours() for path in one.glob("job-*")]
        assert (directory / "cgroup.procs").read_text() == "0"  # of its shim, which then returned
        assert (second.home / "cgroup.procs").read_text().startswith("0")
        (directory / "memory.peak").write_text(f"{LIMIT}\n")
        (directory / "memory.events").write_text("oom 1\noom_kill 1\noom_group_kill 1\n")
        event = await jobs.session.completed(handles["job"])
        assert not directory.exists()
    assert why(event) == OVER
    assert event.reason is not None
    assert event.reason.message == f"used 200 MiB {MESSAGE}; the kernel has killed a process of it"
    assert second.ours() == []


async def test_when_the_kernel_has_killed_the_shim_it_is_the_job_that_was_over(
    second: Second, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shim is in the cgroup while it starts the root, and may be larger than a job with a small ceiling."""

    async def never(_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(memory_watch.MemoryWatch, "_look", never)
    go = tmp_path / "go"
    cmd = f"until [ -e {go} ]; do sleep 0.01; done; kill -9 $PPID; exec sleep 1000"
    async with local(tmp_path / "run", containment="tree") as jobs:
        handles = await jobs.session.submit([JobSpec(name="job", cmd=cmd, memory=LIMIT)])
        (directory,) = [path for one in second.ours() for path in one.glob("job-*")]
        (directory / "memory.events").write_text("oom_kill 1\n")
        go.touch()
        event = await jobs.session.completed(handles["job"])
    assert why(event) == OVER
    assert event.reason is not None
    assert event.reason.message == f"used more than {MESSAGE[3:]}; it was killed: its shim was ended by SIGKILL"


async def test_with_version_2_a_process_group_is_watched(second: Second, tmp_path: Path) -> None:
    """This process would have to be in the cgroup itself."""
    async with local(tmp_path / "run", containment="group") as jobs:
        assert (await jobs.run(memory=LIMIT)).status is JobStatus.PASSED
        assert not [path for one in second.ours() for path in one.glob("job-*")]
        assert (await jobs.run(memory=LIMIT, containment="tree", name="tree")).status is JobStatus.PASSED


def test_a_launch_that_was_abandoned_leaves_no_cgroups_behind(second: Second) -> None:
    for close_first in (True, False):
        ceilings = Ceilings("local")
        if not close_first:
            ceilings.make(LIMIT, contained=True)
        ceilings.close()
        assert second.ours() == []
        with pytest.raises(OSError, match="shutdown"):
            ceilings.make(LIMIT, contained=True)
        assert second.ours() == []


def test_a_backend_that_closes_does_not_wait_for_a_launch_that_was_abandoned(
    second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceilings = Ceilings("local")
    find = MemoryCgroups.open

    def closed_meanwhile() -> MemoryCgroups:
        found = find()
        ceilings.close()
        return found

    monkeypatch.setattr(MemoryCgroups, "open", closed_meanwhile)
    with pytest.raises(OSError, match="shutdown"):
        ceilings.make(LIMIT, contained=True)
    assert second.ours() == []


def test_a_backend_that_closes_just_before_a_launch_has_its_ceiling_leaves_nothing(second: Second) -> None:
    ceilings = Ceilings("local")

    class ClosedWhileHeld:
        """A lock; the backend closes at the end of each block in which it is held."""

        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.acquire, self.release = self.lock.acquire, self.lock.release

        def __enter__(self) -> None:
            self.acquire()

        def __exit__(self, *_: object) -> None:
            ceilings.close()
            self.release()

    ceilings._lock = ClosedWhileHeld()  # type: ignore[assignment]  # has what is used of a lock
    with pytest.raises(OSError, match="shutdown"):
        ceilings.make(LIMIT, contained=True)
    assert second.ours() == []


# ------------------------------------------------------------------ looks


async def test_a_look_that_fails_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_places.none(monkeypatch)
    looks: list[int] = []

    def use(watched: WatchedMemory, *_: object) -> memory_use.MemoryUse:
        looks.append(len(looks))
        if len(looks) == 1:
            raise OSError(24, "Too many open files")
        if len(looks) == 2:
            raise MemoryError
        return memory_use.MemoryUse(watched.limit, watched.limit + (1 << 20) * (len(looks) - 4))

    monkeypatch.setattr(WatchedMemory, "use", use)
    async with local(tmp_path) as jobs:
        event = await jobs.run("exec sleep 1000", memory=LIMIT)
    assert why(event) == OVER
    assert event.reason is not None
    assert event.reason.message == f"used 201 MiB {MESSAGE}"
    assert looks == [0, 1, 2, 3, 4]


async def test_one_reading_of_the_processes_is_for_all_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_places.none(monkeypatch)
    tables: list[MemoryTable] = []
    use = WatchedMemory.use

    def note(watched: WatchedMemory, table: MemoryTable, root: int, ancestor: int) -> memory_use.MemoryUse:
        tables.append(table)
        return use(watched, table, root, ancestor)

    monkeypatch.setattr(WatchedMemory, "use", note)
    async with local(tmp_path, containment="tree") as jobs:
        handles = await jobs.session.submit(
            [JobSpec(name=f"job{number}", cmd="exec sleep 1000", memory=LIMIT) for number in range(3)]
        )
        begun = len(tables)
        while len(tables) < begun + 9:  # noqa: ASYNC110 - a look sets no event
            await trio.sleep(0.001)
        await jobs.backend.kill_many(handles.values())
    assert [sum(each is table for each in tables) for table in tables[begun + 3 : begun + 6]] == [3, 3, 3]


async def test_without_a_ceiling_nothing_is_done_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    for place in (MemoryCgroups, MemoryTable):
        for name in ("open", "read"):
            if hasattr(place, name):
                monkeypatch.setattr(place, name, never)
    async with local(tmp_path) as jobs:
        assert (await jobs.run()).status is JobStatus.PASSED


# ------------------------------------------------------------------ elsewhere


async def test_a_backend_that_cannot_limit_memory_fails_the_job() -> None:
    jobs = [JobSpec(name="job", cmd="true", memory=LIMIT), JobSpec(name="other", cmd="true")]
    job, other = await run_jobs(jobs, FakeBackend())
    assert other.status is JobStatus.PASSED
    assert job.reason is not None
    assert job.reason.kind is FailureKind.LAUNCH_ERROR
    assert job.reason.message == "it has memory, and backend 'fake' does not limit the memory of its jobs"


@pytest.mark.parametrize("memory", [0, -1, MIN_MEMORY - 1, 4096, 1e9, "1GiB", True, 1 << 61])
def test_a_ceiling_is_a_number_of_bytes_that_a_program_can_begin_with(memory: Any) -> None:
    with pytest.raises(SpecError, match=r"job 'job': memory is .*; expected a whole number of bytes from 4194304, or"):
        JobSpec(name="job", cmd="true", memory=memory)
