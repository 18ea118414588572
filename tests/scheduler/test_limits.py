"""Limits that fall after failed checkouts and rise again, beside those that are given, told or set."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.fake import FakeBackend, FakeRun
from runtime.job import CustomKind, FailureClass, FailureKind, JobSpec, JobStatus, JobStatusInfo, Kind, Retry
from runtime.scheduler.facts import LimitRequested
from runtime.scheduler.lowered import FIRST_DELAY, LONGEST_DELAY, LoweredLimit
from runtime.scheduler.resources import ResourcePool
from runtime.scheduler.run import Scheduler
from tests.scheduler.planning import Driven, job

LICENCE = FailureKind.LICENCE
RETRY = Retry({"licence": 5, "vcs": 5}, delay=1000)

# ---------------------------------------------------------------------- one limit


def lowered(held: int, *, ceiling: int = 100, took: float = 0) -> LoweredLimit:
    limit = LoweredLimit(ceiling)
    limit.checkout_failed(held, took, now=0)
    return limit


def test_it_falls_to_what_the_others_hold_and_no_lower_than_the_last_failure_tells() -> None:
    limit = LoweredLimit(10)
    for held in (9, 8, 7, 3, 5):  # the last one is of a job that had begun earlier
        limit.checkout_failed(held, 0, now=1)
    assert limit.limit == 3
    assert limit.due == 1 + FIRST_DELAY


def test_steps_grow_while_they_do_no_harm() -> None:
    limit = lowered(3)
    raised = []
    while not limit.is_over(40):
        limit.raise_limit(limit.due)
        raised.append((limit.due - FIRST_DELAY, limit.limit))
    assert raised == [(10, 4), (20, 6), (30, 10), (40, 18), (50, 34), (60, 66)]


def test_a_raise_in_vain_makes_the_next_one_later_up_to_a_minute() -> None:
    limit = lowered(3)
    delays = []
    for _ in range(6):
        now = limit.due
        limit.raise_limit(now)
        assert limit.limit == 4
        limit.checkout_failed(3, 0, now)
        delays.append(limit.due - now)
    assert delays == [20, 40, 60, 60, 60, LONGEST_DELAY]
    limit.raise_limit(limit.due)
    limit.raise_limit(limit.due)  # two without harm: from here on as at first
    now = limit.due
    limit.checkout_failed(4, 0, now)
    assert limit.due - now == 2 * FIRST_DELAY


@pytest.mark.parametrize(("took", "delay"), [(20.0, 30.0), (10_000.0, 70.0)])
def test_a_raise_is_followed_by_another_when_it_would_have_been_seen_to_fail(took: float, delay: float) -> None:
    limit = lowered(3, took=took)
    assert limit.due == delay
    limit.raise_limit(delay)
    assert limit.due == 2 * delay


def test_an_unlimited_resource_is_unlimited_again_when_as_much_is_allowed_as_was_in_use() -> None:
    limit = lowered(3, ceiling=5)
    assert not limit.is_over(None)
    limit.raise_limit(10)
    assert not limit.is_over(None)
    limit.raise_limit(20)
    assert limit.is_over(None)


# ---------------------------------------------------------------------- in a plan


def jobs(count: int, **resources: int | None) -> list[JobSpec]:
    kinds = {"vcs": ["no licence"]}
    return [job(f"j{number}", resources=resources, retry=RETRY, kinds=kinds) for number in range(count)]


def limit_of(run: Driven, resource: str = "licence") -> int | None:
    return run.plan.statistics().resources[resource][1]


def fail(run: Driven, *numbers: int, kind: Kind = LICENCE) -> None:
    for number in numbers:
        run.fail(f"j{number}", kind)


def test_failures_in_one_batch_and_one_after_the_other_lower_the_limit_alike() -> None:
    run = Driven(jobs(20, licence=1), resources={"licence": 10})
    run.dispatch()
    fail(run, 3, 4, 5)
    assert run.dispatch() == []
    assert limit_of(run) == 7
    fail(run, 6, 7, 8, 9)
    assert run.dispatch() == []
    assert limit_of(run) == 3
    run.end("j0")
    assert len(run.dispatch()) == 1  # the licence that it had is there


def test_the_limit_rises_again_by_itself_and_only_once_is_said_that_it_fell(caplog: pytest.LogCaptureFixture) -> None:
    run = Driven(jobs(20, licence=1), resources={"licence": 4})
    with caplog.at_level(logging.INFO):
        run.dispatch()
        fail(run, 2, 3)
        run.dispatch()
        for due, started in ((10.0, 1), (20.0, 1)):
            assert run.plan.wake_at(run.now) == due
            run.now = due
            assert len(run.dispatch()) == started
        assert limit_of(run) == 4
    assert run.plan.wake_at(run.now) >= 1000  # the retries
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "a checkout of licence failed: its limit is 2 for now, and is raised again step by step"),
        ("INFO", "the limit of licence is 4 again"),
    ]


def test_when_no_licence_is_left_one_job_tries_now_and_then() -> None:
    run = Driven(jobs(20, licence=1), resources={"licence": 4})
    run.dispatch()
    fail(run, 0, 1, 2, 3)
    tries = []
    for _ in range(200):
        tried = run.dispatch()
        tries += [run.now] * len(tried)
        for job_id in tried:
            run.fail(job_id, LICENCE)
        run.now += 1
    assert tries == [10, 31, 72, 133, 194]  # it is told a second later


def test_a_job_that_requests_more_than_the_lowered_limit_waits_and_nobody_is_warned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Driven(jobs(3, licence=2), resources={"licence": 4})
    run.dispatch()
    with caplog.at_level(logging.WARNING):
        fail(run, 0, 1)
        assert run.dispatch() == []
    assert limit_of(run) == 0
    assert len(caplog.records) == 1
    run.now = 10.0
    assert run.dispatch() == []  # 1
    run.now = 20.0
    assert run.dispatch() == ["j2"]  # 3


@pytest.mark.parametrize("kind", [FailureKind.EXIT_CODE, FailureKind.OUT_OF_MEMORY, CustomKind("network")])
def test_a_failure_of_another_kind_says_nothing_about_licences(kind: Kind) -> None:
    run = Driven(jobs(3, licence=1, out_of_memory=1), resources={"licence": 3, "out_of_memory": 3})
    run.dispatch()
    fail(run, 0, kind=kind)
    run.dispatch()
    assert (limit_of(run), limit_of(run, "out_of_memory")) == (3, 3)


def test_a_job_that_holds_several_resources_speaks_of_the_one_that_its_kind_names() -> None:
    run = Driven(jobs(3, licence=1, vcs=1), resources={"licence": 3, "vcs": 3})
    run.dispatch()
    fail(run, 0, kind=CustomKind("vcs"))
    run.dispatch()
    assert (limit_of(run), limit_of(run, "vcs")) == (3, 2)


def test_a_job_that_holds_no_resource_of_that_name_lowers_nothing() -> None:
    run = Driven(jobs(3, gpu=1), resources={"gpu": 3})
    run.dispatch()
    fail(run, 0)
    run.dispatch()
    assert limit_of(run, "gpu") == 3
    assert run.plan.wake_at(run.now) >= 1000


def test_an_unlimited_resource_is_limited_for_a_while() -> None:
    run = Driven(jobs(30, licence=1), {"fake": 10}, resources={"licence": None})
    run.dispatch()
    fail(run, *range(3, 10))
    run.dispatch()
    assert limit_of(run) == 3
    while limit_of(run) is not None:
        run.now = run.plan.wake_at(run.now)
        run.dispatch()
    assert run.now == 30


def test_what_a_person_sets_ends_the_lowering_and_a_provider_does_not() -> None:
    run = Driven(jobs(20, licence=1), resources={"licence": 10})
    run.dispatch()
    fail(run, *range(3, 10))
    run.dispatch()
    run.limit("licence", 8)
    assert limit_of(run) == 3
    run.limit("licence", 2)
    assert limit_of(run) == 2
    run.apply(LimitRequested("licence", 5, "ann"))
    assert limit_of(run) == 5
    assert len(run.dispatch()) == 2


def test_a_failure_while_more_is_held_than_the_limit_lowers_nothing(caplog: pytest.LogCaptureFixture) -> None:
    run = Driven(jobs(20, licence=1), resources={"licence": 10})
    run.dispatch()
    run.limit("licence", 5)
    fail(run, 0)
    run.dispatch()
    assert limit_of(run) == 5
    assert caplog.messages == []


def test_the_statistics_name_what_jobs_wait_for_that_could_start_otherwise() -> None:
    run = Driven(jobs(2, licence=1, board=1), resources=ResourcePool({"board": 9, "gpu": 0}, dynamic=["licence"]))

    def lacking() -> Sequence[str]:
        run.dispatch()
        return run.plan.statistics().lacking

    assert lacking() == ["licence"]
    run.limit("licence", 1)
    assert lacking() == ["licence"]
    run.limit("licence", 2)
    assert lacking() == []


def test_nobody_is_warned_of_a_limit_because_another_one_is_not_known_yet(caplog: pytest.LogCaptureFixture) -> None:
    pool = ResourcePool(dynamic=["board", "licence"])
    run = Driven(jobs(3, board=1, licence=1), resources=pool)
    assert run.dispatch() == []
    run.limit("board", 3)
    assert run.dispatch() == []
    assert caplog.messages == []
    run.limit("licence", 0)
    run.limit("board", 0)
    assert caplog.messages == []  # it waits for licences, of which there never were any
    run.limit("licence", 3)
    assert run.dispatch() == []
    run.limit("board", 1)
    assert run.dispatch() == ["j0"]


# ---------------------------------------------------------------------- a licence server


class LicenceServer:
    """A stand-in: it grants as many licences as `grants` says for the time, and takes none back that was granted."""

    def __init__(self, grants: dict[float, int], seconds: float) -> None:
        self._grants = sorted(grants.items())
        self._seconds = seconds
        """How long a job holds its licence."""
        self._ends: list[float] = []
        self.refused = 0

    def granted(self, now: float) -> int:
        return [count for since, count in self._grants if since <= now][-1]

    def checkout(self, now: float) -> bool:
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        if len(self._ends) >= self.granted(now):
            self.refused += 1
            return False
        heapq.heappush(self._ends, now + self._seconds)
        return True

    def ideal(self, count: int) -> float:
        """Return when the last of so many jobs ends, if each begins as soon as there is a licence."""
        server, now = LicenceServer(dict(self._grants), self._seconds), 0.0
        while count:
            count -= (got := server.checkout(now))
            if not got:
                changes = [since for since, _ in self._grants if since > now]
                now = min([*server._ends[:1], *changes[:1]])
        return max(server._ends)


@pytest.mark.parametrize("takes_to_fail", [0.0, 2.0, 20.0])
async def test_a_night_of_1000_jobs_whose_licences_come_and_go(autojump_clock: MockClock, takes_to_fail: float) -> None:
    server = LicenceServer({0: 10, 1000: 3, 2000: 0, 2060: 10}, seconds=30)
    ideal = server.ideal(1000)
    assert ideal > 3000
    refused = JobStatusInfo("Licence checkout failed", kind=LICENCE)

    def run(_spec: JobSpec, _attempt: int) -> FakeRun:
        if server.checkout(trio.current_time()):
            return FakeRun(duration=30)
        return FakeRun(JobStatus.FAILED, reason=refused, duration=takes_to_fail)

    tests = [job(f"j{number}", resources={"licence": 1}, retry=Retry({"licence": 5})) for number in range(1000)]
    scheduler = Scheduler(tests, FakeBackend(run), resources={"licence": 10})
    results = await scheduler.run()
    assert {result.status for result in results} == {JobStatus.PASSED}
    assert not any(result.is_flaky for result in results)
    earlier: list[Any] = [event for result in results for event in result.earlier]
    assert len(earlier) == server.refused
    assert {event.failure_class for event in earlier} == {FailureClass.INFRASTRUCTURE}
    assert trio.current_time() / ideal < 1.1
    assert server.refused < 100
    assert math.isfinite(ideal)
