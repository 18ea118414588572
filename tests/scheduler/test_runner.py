"""What a backend runner tells, in which order, and what it promises when several calls are in progress."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.fake import FakeBackend, FakeRun
from runtime.job import JobCompletionEvent, JobHandle, JobStatus
from runtime.scheduler.actions import Action, Kill, Submit
from runtime.scheduler.facts import BackendEnded, Fact, SubmissionFailed, Submitted, Withdrawn
from runtime.scheduler.run import run_jobs
from runtime.scheduler.runner import BackendRunner
from tests.scheduler.planning import job


class Told:
    """A runner's two channels."""

    def __init__(self, actions: trio.MemorySendChannel[Action], facts: trio.MemoryReceiveChannel[Fact]) -> None:
        self.actions = actions
        self.facts: list[Fact] = []
        self._receive = facts

    async def submit(self, *names: str) -> None:
        self.actions.send_nowait(Submit("fake", [job(name) for name in names]))
        await wait_all_tasks_blocked()

    async def read(self) -> None:
        async for fact in self._receive:
            self.facts.append(fact)

    def of(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def ends(self) -> dict[str, JobStatus]:
        events = [event for batch in self.of(tuple) for event in batch]
        return {event.job_id: event.status for event in events if isinstance(event, JobCompletionEvent)}

    def kinds(self) -> list[str]:
        return [type(fact).__name__ for fact in self.facts]


@asynccontextmanager
async def running(backend: RuntimeBackend) -> AsyncIterator[Told]:
    """A runner; the block ends when it has ended."""
    send, actions = trio.open_memory_channel[Action](math.inf)
    facts, receive = trio.open_memory_channel[Fact](math.inf)
    told = Told(send, receive)
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(told.read)
            nursery.start_soon(BackendRunner("fake", backend, actions, facts).run, "run")
            with send:
                yield told


def lasting(duration: float) -> FakeBackend:
    return FakeBackend(lambda _spec, _attempt: FakeRun(duration=duration))


async def test_a_backend_without_jobs_is_never_opened(autojump_clock: MockClock) -> None:
    backend = FakeBackend()
    async with running(backend) as told:
        pass
    assert told.kinds() == ["BackendEnded"]
    assert "new" in repr(backend)


async def test_it_tells_what_came_of_a_submission_and_ends_when_there_are_no_more_actions(
    autojump_clock: MockClock,
) -> None:
    async with running(lasting(3)) as told:
        await told.submit("a", "b")
        (answer,) = told.facts
        assert isinstance(answer, Submitted)
        assert [each.id for each in answer.jobs] == list(answer.accepted) == ["a", "b"]
    assert told.kinds() == ["Submitted", "tuple", "BackendEnded"]
    assert told.ends() == {"a": JobStatus.PASSED, "b": JobStatus.PASSED}


async def test_the_last_fact_of_a_cancelled_runner_comes_after_all_events(autojump_clock: MockClock) -> None:
    facts, receive = trio.open_memory_channel[Fact](math.inf)
    send, actions = trio.open_memory_channel[Action](math.inf)
    told = Told(send, receive)
    send.send_nowait(Submit("fake", [job("a")]))
    with trio.move_on_after(5):
        await BackendRunner("fake", lasting(math.inf), actions, facts).run("run")
    await told.read()
    assert told.kinds() == ["Submitted", "tuple", "BackendEnded"]
    assert told.ends() == {"a": JobStatus.KILLED}


class Breaks(FakeBackend):
    async def submit_many(
        self, jobs: Iterable[Any], *, attempts: Mapping[str, int] | None = None
    ) -> dict[str, JobHandle]:
        raise trio.TooSlowError

    async def kill_many(self, targets: Iterable[JobHandle | str], *, by: str = "", force: bool = False) -> None:
        raise ZeroDivisionError


async def test_of_a_backend_that_breaks_it_tells_why(autojump_clock: MockClock) -> None:
    async with running(Breaks()) as told:
        await told.submit("a")
    (ended,) = told.facts
    assert isinstance(ended, BackendEnded)
    assert ended.backend == "fake"
    assert "backend 'fake' broke: " in ended.message


async def test_jobs_that_are_killed_while_they_wait_for_another_submission_are_withdrawn_at_once(
    autojump_clock: MockClock,
) -> None:
    gate = trio.Event()
    async with running(held(gate)) as told:
        await told.submit("first")
        await told.submit("second", "third")
        told.actions.send_nowait(Kill("fake", ["third"], "the test", force=False))
        await wait_all_tasks_blocked()
        assert [[each.id for each in fact.jobs] for fact in told.of(Withdrawn)] == [["third"]]
        assert told.of(Submitted) == []
        gate.set()
        await wait_all_tasks_blocked()
        assert [[each.id for each in fact.jobs] for fact in told.of(Submitted)] == [["first"], ["second"]]
        told.actions.send_nowait(Kill("fake", ["first", "second"], "the test", force=False))


def held(gate: trio.Event) -> FakeBackend:
    """A backend whose jobs run until they are killed. Its first submission takes until the gate is open."""

    class Held(FakeBackend):
        async def submit_many(
            self, jobs: Iterable[Any], *, attempts: Mapping[str, int] | None = None
        ) -> dict[str, JobHandle]:
            jobs = list(jobs)
            accepted = await super().submit_many(jobs, attempts=attempts)
            if jobs[0].id == "first":
                await gate.wait()
            return accepted

    return Held(lambda _spec, _attempt: FakeRun(duration=math.inf))


@pytest.mark.parametrize("round_", range(30))  # which of two tasks goes first is drawn, twice
async def test_a_kill_in_the_instant_of_a_submission_is_not_lost(autojump_clock: MockClock, round_: int) -> None:
    gate = trio.Event()
    async with running(held(gate)) as told:
        await told.submit("first")
        await told.submit("second")
        gate.set()  # the submission of the first job ends, so that of the second begins
        told.actions.send_nowait(Kill("fake", ["second"], "the test", force=False))
        await wait_all_tasks_blocked()
        withdrawn = [each.id for fact in told.of(Withdrawn) for each in fact.jobs]
        assert withdrawn == ["second"] or told.ends() == {"second": JobStatus.KILLED}
        told.actions.send_nowait(Kill("fake", ["first", "second"], "the test", force=False))


class RaisesFromSubmit(FakeBackend):
    """Breaks the contract: launches some jobs, then raises."""

    max_submissions = None

    async def submit_many(
        self, jobs: Iterable[Any], *, attempts: Mapping[str, int] | None = None
    ) -> dict[str, JobHandle]:
        await super().submit_many(jobs, attempts=attempts)
        msg = "submission went wrong"
        raise ValueError(msg)


async def test_the_failure_of_a_submission_is_told_after_the_ends_of_what_it_launched(
    autojump_clock: MockClock,
) -> None:
    async with running(RaisesFromSubmit(lambda _spec, _attempt: FakeRun(duration=math.inf))) as told:
        await told.submit("a", "b")
    assert told.kinds() == ["tuple", "SubmissionFailed", "BackendEnded"]
    assert told.ends() == {"a": JobStatus.KILLED, "b": JobStatus.KILLED}
    (failed,) = told.of(SubmissionFailed)
    assert failed.message == "backend 'fake' could not launch it: ValueError('submission went wrong')"


async def test_of_two_submissions_that_raise_none_waits_for_ever(autojump_clock: MockClock) -> None:
    jobs = [job("first", backend="bad"), job("quick", backend="good"), job("second", "quick", backend="bad")]
    takes = {
        "first": FakeRun(duration=math.inf, kill_duration=5),
        "second": FakeRun(duration=math.inf, kill_duration=4),
    }
    backends = {
        "good": FakeBackend(lambda _spec, _attempt: FakeRun(duration=1)),
        "bad": RaisesFromSubmit(lambda spec, _attempt: takes[spec.name]),
    }
    with trio.fail_after(100):
        results = await run_jobs(jobs, backends)
    assert [result.ended for result in results] == [5, 1, 5]
    assert [None if result.reason is None else str(result.reason.kind) for result in results] == [
        "cancelled",
        None,
        "cancelled",
    ]
