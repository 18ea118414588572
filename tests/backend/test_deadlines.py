"""`Deadlines`: one task and one heap for all deadlines."""

from __future__ import annotations

import math
import random

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from runtime.backend.contract.deadlines import Deadlines
from runtime.backend.contract.live import DONE, LiveJob, make_live
from tests.backend.manual import job


def live(name: str = "a") -> LiveJob:
    return make_live([job(name)], 0)[0]


class Rung:
    """Records which deadline expired, and when."""

    def __init__(self) -> None:
        self.times: list[tuple[str, float]] = []

    def __call__(self, job: LiveJob) -> None:
        self.times.append((job.id, trio.current_time()))


async def test_deadlines_expire_in_the_order_of_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    deadlines, rung = Deadlines(), Rung()
    times = [float(number) for number in range(50)]
    random.Random(7).shuffle(times)
    for at in times:
        deadlines.add(at, live(str(at)), rung)
    nursery.start_soon(deadlines.run)
    await trio.sleep(100)
    assert rung.times == [(str(at), at) for at in sorted(times)]


async def test_deadlines_of_the_same_time_expire_in_the_order_of_their_addition(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    deadlines, rung = Deadlines(), Rung()
    for name in "cab":
        deadlines.add(5, live(name), rung)
    nursery.start_soon(deadlines.run)
    await trio.sleep(10)
    assert rung.times == [("c", 5), ("a", 5), ("b", 5)]


async def test_an_earlier_deadline_that_is_added_later_is_kept(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    deadlines, rung = Deadlines(), Rung()
    nursery.start_soon(deadlines.run)
    await trio.sleep(1)
    deadlines.add(10, live("later"), rung)
    await trio.sleep(1)
    deadlines.add(5, live("early"), rung)
    deadlines.add(1.95, live("past"), rung)
    await trio.sleep(20)
    assert rung.times == [("past", 2), ("early", 5), ("later", 10)]


async def test_a_deadline_of_a_job_that_has_ended_does_not_expire(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    deadlines, rung = Deadlines(), Rung()
    nursery.start_soon(deadlines.run)
    jobs = [live("a"), live("b")]
    for each in jobs:
        deadlines.add(5, each, rung)
    await trio.sleep(1)
    jobs[0].stage = DONE
    await trio.sleep(10)
    assert rung.times == [("b", 5)]


async def test_events_from_a_standstill_of_the_loop_are_processed_before_a_deadline_expires(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    deadlines, rung = Deadlines(), Rung()
    jobs = [live("a"), live("b")]
    for each in jobs:
        deadlines.add(5, each, rung)

    async def tell_the_end() -> None:
        await trio.sleep(5)
        await trio.sleep(0.01)  # ends are read together
        jobs[0].stage = DONE

    nursery.start_soon(deadlines.run)
    nursery.start_soon(tell_the_end)
    await trio.testing.wait_all_tasks_blocked()
    autojump_clock.jump(60)
    await trio.sleep(10)
    assert [job_id for job_id, _ in rung.times] == ["b"]


async def test_an_action_may_add_a_deadline_and_end_other_jobs(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    deadlines, rung = Deadlines(), Rung()
    other = live("other")

    def act(job: LiveJob) -> None:
        rung(job)
        other.stage = DONE
        deadlines.add(trio.current_time() + 2, job, rung)

    deadlines.add(5, live("a"), act)
    deadlines.add(5, other, rung)
    nursery.start_soon(deadlines.run)
    await trio.sleep(20)
    assert rung.times == [("a", 5), ("a", 7)]


async def test_deadlines_of_ended_jobs_do_not_pile_up(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    deadlines, rung = Deadlines(), Rung()
    nursery.start_soon(deadlines.run)
    kept = live("kept")
    deadlines.add(5e4, kept, rung)
    largest = 0
    for _ in range(10_000):
        job = live()
        deadlines.add(1e6, job, rung)
        job.stage = DONE
        largest = max(largest, len(deadlines._heap))
    assert largest <= 1025
    await trio.sleep(6e4)
    assert rung.times == [("kept", 5e4)]


async def test_many_deadlines_of_live_jobs_are_all_kept(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    deadlines, rung = Deadlines(), Rung()
    for number in range(5000):
        deadlines.add(1 + number % 7, live(str(number)), rung)
    nursery.start_soon(deadlines.run)
    await trio.sleep(10)
    assert len(rung.times) == 5000
    assert all(at == 1 + int(name) % 7 for name, at in rung.times)


async def test_the_task_sleeps_while_no_deadline_can_expire(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    deadlines, rung = Deadlines(), Rung()
    nursery.start_soon(deadlines.run)
    await trio.sleep(8e4)
    deadlines.add(math.inf, live(), rung)
    await trio.sleep(8e4)
    assert rung.times == []


async def test_an_action_that_raises_is_not_hidden(autojump_clock: MockClock) -> None:
    def act(_job: LiveJob) -> None:
        raise ValueError("on purpose")

    deadlines = Deadlines()
    deadlines.add(1, live(), act)
    with pytest.raises(ValueError, match="on purpose"):
        await deadlines.run()


async def test_held_deadlines_expire_later_and_new_ones_do_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    deadlines, rung = Deadlines(), Rung()
    deadlines.add(5, live("old"), rung)
    nursery.start_soon(deadlines.run)
    await trio.sleep(2)
    deadlines.hold()
    deadlines.add(8, live("new"), rung)
    await trio.sleep(100)
    deadlines.release(100)
    await trio.sleep(10)
    assert rung.times == [("new", 8), ("old", 105)]


async def test_all_deadlines_can_be_postponed(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    deadlines, rung = Deadlines(), Rung()
    for at in (5.0, 3.0, 9.0):
        deadlines.add(at, live(str(at)), rung)
    nursery.start_soon(deadlines.run)
    await trio.sleep(4)
    deadlines.postpone(10)
    await trio.sleep(100)
    assert rung.times == [("3.0", 3), ("5.0", 15), ("9.0", 19)]


async def test_late_deadlines_first_ask_whether_their_time_counts(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    deadlines, rung = Deadlines(), Rung()

    async def stood_still() -> None:
        await trio.lowlevel.checkpoint()
        deadlines.postpone(50)

    deadlines.catch_up = stood_still
    deadlines.add(5, live(), rung)
    nursery.start_soon(deadlines.run)
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(50)
    await trio.testing.wait_all_tasks_blocked()
    assert rung.times == []
    mock_clock.jump(5)
    await trio.testing.wait_all_tasks_blocked()
    assert rung.times == [("a", 55)]
