"""`FakeBackend`: each job behaves as the policy says."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.fake import FakeBackend, FakeRun, pass_at_once
from runtime.job import FailureKind, JobProgressEvent, JobStatus, JobStatusInfo, JobUsage
from tests.backend.manual import job, opened


async def test_by_default_every_job_passes_at_once(autojump_clock: MockClock) -> None:
    backend = FakeBackend()
    async with opened(backend) as history:
        handles = await backend.submit_many([job("a"), job("b", interactive=False)])
        assert backend.statistics().completed == 2, "when the submit returns"
        assert [handle.started for handle in handles.values()] == [0, 0]
    assert [event.status for event in history.completions] == [JobStatus.PASSED] * 2
    assert backend.policy is pass_at_once


async def test_a_run_takes_its_time_and_reports_its_facts(autojump_clock: MockClock) -> None:
    reason = JobStatusInfo("exit code 3", kind=FailureKind.EXIT_CODE)
    usage = JobUsage(cpu_seconds=1.5, exit_code=3)
    run = FakeRun(JobStatus.FAILED, reason, usage, duration=7, queued=2)
    backend = FakeBackend(lambda *_: run)
    async with opened(backend) as history:
        handle = await backend.submit(job())
        assert handle is not None
        assert handle.started is None
        assert backend.running == {"a"}
    event = history.completion("a")
    assert (event.status, event.reason, event.usage) == (JobStatus.FAILED, reason, usage)
    assert (event.submitted, event.started, event.ended) == (0, 2, 9)
    progress = [each for each in history.events if isinstance(each, JobProgressEvent)]
    assert [(each.status, each.at) for each in progress] == [(JobStatus.RUNNING, 2)]
    assert backend.running == set()


async def test_the_policy_sees_the_job_and_the_attempt_and_may_be_replaced() -> None:
    seen = []

    def policy(spec: object, attempt: int) -> FakeRun:
        seen.append((spec, attempt))
        return FakeRun(busy=attempt == 1)

    spec = job()
    backend = FakeBackend(policy)
    async with opened(backend) as history:
        assert await backend.submit(spec) is None
        assert await backend.submit(spec, attempt=2)
        backend.policy = lambda *_: FakeRun(launch_error="no such program")
        assert await backend.submit(spec, attempt=3)
    assert seen == [(spec, 1), (spec, 2)]
    event = history.completion("a", 3)
    assert event.reason == JobStatusInfo("no such program", kind=FailureKind.LAUNCH_ERROR)
    assert event.started is None


@pytest.mark.parametrize("queued", [None, 5])
async def test_a_kill_takes_its_time(queued: float | None, autojump_clock: MockClock) -> None:
    backend = FakeBackend(lambda *_: FakeRun(duration=math.inf, kill_duration=3, queued=queued))
    async with opened(backend) as history:
        await backend.submit(job())
        await trio.sleep(1)
        await backend.kill("a")
        assert trio.current_time() == 4
        assert backend.running == set()
    event = history.completion("a")
    assert (event.status, event.started) == (JobStatus.KILLED, None if queued else 0)


async def test_a_kill_that_does_nothing_loses_the_job(autojump_clock: MockClock) -> None:
    backend = FakeBackend(lambda *_: FakeRun(duration=math.inf, kill_duration=math.inf))
    async with opened(backend) as history:
        await backend.submit(job())
        await backend.kill("a")
        assert backend.running == {"a"}
    reason = history.completion("a").reason
    assert reason is not None
    assert reason.kind is FailureKind.LOST


async def test_a_job_that_ends_at_the_time_of_its_kill_has_ended(autojump_clock: MockClock) -> None:
    backend = FakeBackend(lambda *_: FakeRun(duration=5, kill_duration=1))
    async with opened(backend) as history, trio.open_nursery() as nursery:
        await backend.submit(job())
        await trio.sleep(5)
        nursery.start_soon(backend.kill, "a")
    event = history.completion("a")
    assert (event.status, event.ended) in {(JobStatus.PASSED, 5), (JobStatus.KILLED, 6)}


async def test_a_policy_that_raises_breaks_the_backend() -> None:
    def policy(_spec: object, _attempt: int) -> FakeRun:
        raise LookupError("no such policy")

    backend = FakeBackend(policy)
    with pytest.raises(LookupError, match="no such policy"):
        async with opened(backend):
            await backend.submit(job())
            await trio.sleep_forever()
