"""The public types as a type checker sees them. `make check` checks them; running this checks that they are true."""

from __future__ import annotations

from typing import assert_type

import trio
from trio.testing import MockClock

from runtime import (
    EventBatch,
    FailureKind,
    FakeBackend,
    JobCompletionEvent,
    JobHandle,
    JobProgressEvent,
    JobResult,
    JobSpec,
    JobStatus,
    JobStatusInfo,
    JobUsage,
    RuntimeBackend,
    Scheduler,
    backends,
    run_jobs,
)


async def test_a_run(autojump_clock: MockClock) -> None:
    jobs = [JobSpec(name="a", cmd="true"), JobSpec(name="b", cmd=["true"], dependencies=["a"])]
    results = assert_type(await run_jobs(jobs, FakeBackend()), list[JobResult])
    (first, _) = results
    assert_type(first.status, JobStatus)
    assert_type(first.reason, JobStatusInfo | None)
    assert_type(first.usage, JobUsage | None)
    assert_type(first.started, float | None)
    assert first.status is JobStatus.PASSED


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
    scheduler = Scheduler([], {"fake": FakeBackend()}, max_parallelism=3, resources={"licence": 3, "memory": None})
    assert_type(scheduler.results(), list[JobResult])
    assert_type(FailureKind.TIMEOUT.status, JobStatus)
    assert scheduler.results() == []
