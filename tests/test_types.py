"""The public types as a type checker sees them. `make check` checks them; running this checks that they are true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_type

import pytest
import trio
from trio.testing import MockClock

from runtime import (
    EventBatch,
    FailureKind,
    FakeBackend,
    FakePolicy,
    FakeRun,
    GridEngineBackend,
    JobCompletionEvent,
    JobHandle,
    JobProgressEvent,
    JobResult,
    JobSpec,
    JobStatus,
    JobStatusInfo,
    JobUsage,
    LegacyLauncherAdapter,
    LocalBackend,
    LsfBackend,
    RuntimeBackend,
    Scheduler,
    SchedulerStatistics,
    SlurmBackend,
    StatusChange,
    StatusStream,
    backends,
    run_jobs,
)


async def test_a_run(autojump_clock: MockClock) -> None:
    jobs = [JobSpec(name="a", cmd="true"), JobSpec(name="b", cmd=["true"], dependencies=["a"])]
    results = assert_type(await run_jobs(jobs, FakeBackend()), list[JobResult[JobSpec]])
    (first, _) = results
    assert_type(first.job, JobSpec)
    assert_type(first.status, JobStatus)
    assert_type(first.reason, JobStatusInfo | None)
    assert_type(first.usage, JobUsage | None)
    assert_type(first.started, float | None)
    assert first.status is JobStatus.PASSED


class OwnJob:
    """A class of another program, with what the scheduler reads and no more."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.dependencies: list[str] = []
        self.backend = None
        self.resources = None
        self.weight = 1
        self.run_if = "passed"


async def test_a_run_of_jobs_of_another_class(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([OwnJob("a")], FakeBackend())
    with assert_type(scheduler.subscribe(), StatusStream[OwnJob]) as stream:
        (result,) = assert_type(await scheduler.run(), list[JobResult[OwnJob]])
        assert_type(result.job, OwnJob)
        changes = assert_type(stream.take_nowait(), list[StatusChange[OwnJob]])
    assert [change.job for change in changes] == [result.job] * len(changes)
    assert assert_type(scheduler.statistics(), SchedulerStatistics).total == 1


async def test_a_backend(autojump_clock: MockClock) -> None:
    send, receive = trio.open_memory_channel[EventBatch](10)
    backend = FakeBackend()
    with send, receive:
        async with backend.open(send) as opened:
            assert_type(opened, FakeBackend)
            handles = assert_type(await opened.submit_many([JobSpec(name="a", cmd="x")]), dict[str, JobHandle])
            assert_type(await opened.submit(JobSpec(name="b", cmd="x")), JobHandle | None)
            batch = assert_type(await receive.receive(), EventBatch)
            for event in batch:
                assert_type(event, JobProgressEvent | JobCompletionEvent)
        assert list(handles) == ["a"]


def test_a_registry_and_a_scheduler() -> None:
    assert_type(backends.create("fake"), RuntimeBackend)
    jobs: list[JobSpec] = []
    scheduler = Scheduler(jobs, {"fake": FakeBackend()}, max_parallelism=3, resources={"licence": 3, "memory": None})
    assert_type(scheduler, Scheduler[JobSpec])
    assert_type(scheduler.results(), list[JobResult[JobSpec]])
    assert_type(FailureKind.TIMEOUT.status, JobStatus)
    assert scheduler.results() == []


class OwnLauncher:
    """A launcher of another program, which derives from nothing of ours."""

    def __init__(self, job: JobSpec) -> None:
        self.job = job

    def launch(self) -> None: ...

    def poll(self) -> JobStatus:
        return JobStatus.PASSED

    def kill(self) -> None: ...


def test_any_class_with_the_three_methods_is_a_launcher() -> None:
    class Unkillable:
        def __init__(self, job: JobSpec) -> None: ...

        def launch(self) -> None: ...

        def poll(self) -> JobStatus:
            return JobStatus.PASSED

    assert LegacyLauncherAdapter(OwnLauncher).name == "own"
    with pytest.raises(TypeError, match="lacks kill"):
        LegacyLauncherAdapter(Unkillable)  # type: ignore[arg-type]  # mypy has to find it, too


def test_a_policy() -> None:
    def policy(job: JobSpec, attempt: int) -> FakeRun:
        return FakeRun(JobStatus.FAILED if job.name == "a" and attempt == 1 else JobStatus.PASSED)

    typed: FakePolicy = policy
    assert FakeBackend(typed).policy is policy


# The reasons of these: mypy has to find each mistake, and `make check` reports an ignore where it finds none.
# fmt: off
MISSPELT: Mapping[str, Callable[[], object]] = {
    "JobSpec": lambda: JobSpec(name="a", cmd="true", time_out=1),  # type: ignore[call-arg]  # misspelt
    "FakeRun": lambda: FakeRun(durations=1),  # type: ignore[call-arg]  # misspelt
    "FakeBackend": lambda: FakeBackend(max_paralellism=1),  # type: ignore[call-arg]  # misspelt
    "LocalBackend": lambda: LocalBackend(kill_time=1),  # type: ignore[call-arg]  # misspelt
    "GridEngineBackend": lambda: GridEngineBackend(partition="a"),  # type: ignore[call-arg]  # of Slurm
    "LsfBackend": lambda: LsfBackend(partition="a"),  # type: ignore[call-arg]  # of Slurm
    "SlurmBackend": lambda: SlurmBackend(partitions="a"),  # type: ignore[call-arg]  # misspelt
    "SlurmBackend's common options": lambda: SlurmBackend(drain_time=1),  # type: ignore[call-arg]  # misspelt
    "LegacyLauncherAdapter": lambda: LegacyLauncherAdapter(OwnLauncher, patience=1),  # type: ignore[call-arg]  # old name
    "Scheduler": lambda: Scheduler([], FakeBackend(), max_failure=1),  # type: ignore[call-arg]  # misspelt
    "run_jobs": lambda: run_jobs([], FakeBackend(), max_paralellism=1),  # type: ignore[call-arg]  # misspelt
}
# fmt: on


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_keyword_is_an_error(name: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        MISSPELT[name]()
