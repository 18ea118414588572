"""`slow`: a job that runs for longer is named once, and nothing else happens."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.fake import FakeBackend, FakeRun
from runtime.job import JobProgressEvent, JobStatus
from runtime.testing.history import History
from tests.backend.manual import ManualBackend, job, opened


def notes(history: History) -> list[tuple[str, float, str | None]]:
    events = [event for event in history.events if isinstance(event, JobProgressEvent)]
    return [(event.job_id, event.at, event.note) for event in events if event.note and "slow" in event.note]


async def test_a_slow_job_is_named_once_and_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    policy = {"slow": FakeRun(duration=100), "waits": FakeRun(queued=50, duration=20), "quick": FakeRun(duration=29)}
    backend = FakeBackend(lambda spec, _attempt: policy[spec.id])
    with caplog.at_level(logging.WARNING, "runtime"):
        async with opened(backend) as history:
            await backend.submit_many([job(name, slow=30) for name in policy])
    assert {event.status for event in history.completions} == {JobStatus.PASSED}
    assert notes(history) == [("slow", 30, "slow: has run for longer than 30 s")]
    assert [record.message for record in caplog.records] == ["job 'slow' is slow: has run for longer than 30 s"]
    assert all(event.status is JobStatus.RUNNING for event in history.events if isinstance(event, JobProgressEvent))


async def test_time_in_the_queue_and_in_a_standstill_does_not_count(autojump_clock: MockClock) -> None:
    backend = ManualBackend(running=False)
    async with opened(backend) as history:
        await backend.submit(job(slow=10))
        await trio.sleep(8)
        backend.run("a")
        await trio.sleep(8)
        backend.queue("a")
        await trio.sleep(8)
        backend.run("a")
        await trio.sleep(8)
        backend.control.deadlines.postpone(5)
        await trio.sleep(6)
        assert notes(history) == []
        await trio.sleep(2)
        assert notes(history) == [("a", 39, "slow: has run for longer than 10 s")]
        backend.end("a")


async def test_a_job_that_is_being_stopped_is_not_named(autojump_clock: MockClock) -> None:
    backend = ManualBackend()
    async with opened(backend) as history:
        await backend.submit(job(slow=10, timeout=5))
        await trio.sleep(20)
        assert backend.killed == ["a"]
        assert notes(history) == []
        backend.die("a")


async def test_the_slow_of_a_foreign_specification_means_something_else(autojump_clock: MockClock) -> None:
    backend = FakeBackend(lambda *_: FakeRun(duration=100))
    async with opened(backend) as history:
        await backend.submit(SimpleNamespace(id="a", slow="yes"))
    assert notes(history) == []
