"""When the queue is asked, and whose answer counts."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.batch.element import Element
from runtime.backend.batch.exit_records import ExitRecord
from runtime.backend.batch.pace import Pace
from runtime.backend.batch.polling import QueuePoller
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.reactor import Reactor
from runtime.backend.batch.schedule import Schedule
from runtime.backend.batch.system import QueueListing, Unanswered
from runtime.job import JobStatus
from tests.backend.batch.scripted import ScriptedSystem


class _Nobody:
    """A tracker without jobs."""

    def abandon_completed(self) -> None: ...

    def react(self, transitions: object) -> None: ...

    def limit_logs(self) -> None: ...


class _NoFiles:
    """Files without records."""

    async def read_records(self, tokens: object) -> tuple[dict[str, ExitRecord], set[str]]:
        return {}, set()


def make_poller(queue: Queue, schedule: Schedule, reactor: Reactor) -> QueuePoller:
    nobody: Any = _Nobody()
    files: Any = _NoFiles()
    return QueuePoller(queue, schedule, files, reactor, nobody)


@pytest.fixture
def system(nursery: trio.Nursery) -> ScriptedSystem:
    system = ScriptedSystem(nursery)
    system.duration = 5
    return system


@pytest.fixture
def schedule(system: ScriptedSystem, nursery: trio.Nursery) -> Schedule:
    queue = Queue(system, Pace(1), "batch")
    schedule = Schedule(queue.pace)
    poller = make_poller(queue, schedule, Reactor(20))

    async def serve() -> None:
        while True:
            await poller.wait_due()
            await poller.poll()

    nursery.start_soon(serve)
    return schedule


async def test_who_asks_during_a_query_waits_for_the_answer_to_the_next_one(
    system: ScriptedSystem, schedule: Schedule, autojump_clock: MockClock
) -> None:
    """Also if there is nothing else to ask for."""
    schedule.ask()
    await trio.sleep(1)
    assert len(system.asked) == 1
    with trio.fail_after(100):
        await schedule.next_answer()
    assert len(system.asked) == 2
    await trio.sleep(1000)
    assert len(system.asked) == 2


@pytest.mark.parametrize("answer", [Unanswered("down"), QueueListing([], unparsed=1)])
async def test_an_answer_that_is_not_complete_does_not_count(
    system: ScriptedSystem, schedule: Schedule, autojump_clock: MockClock, answer: QueueListing | Unanswered
) -> None:
    system.query_answers.append(answer)
    with trio.fail_after(300):
        await schedule.next_answer()
    assert len(system.asked) == 2


async def test_one_query_names_all_arrays(
    system: ScriptedSystem, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    reactor, queue = Reactor(20), Queue(system, Pace(1), "batch")
    reactor.find({"one": ["a"], "two": ["b"]}, {"a", "b"}, set(), now=trio.current_time())
    poller = make_poller(queue, Schedule(queue.pace), reactor)
    await poller.wait_due()
    await poller.poll()
    asked: list[Collection[str] | None] = system.names
    assert asked == [["one", "two"]]


async def test_a_step_that_is_overdue_waits_with_the_queries_while_the_circuit_is_open(
    system: ScriptedSystem, autojump_clock: MockClock
) -> None:
    reactor, queue = Reactor(20), Queue(system, Pace(1), "batch")
    element = Element("a")
    reactor.accept(reactor.submit("array", [element]), [element], "7")
    element.history.status = JobStatus.RUNNING
    poller = make_poller(queue, Schedule(queue.pace), reactor)
    reactor.stop(element, 30)
    reactor.take_unrevoked()
    assert reactor.due_stop_steps(trio.current_time()).soft == [element]
    system.down_until = math.inf
    while not queue.pace.is_open:  # some twenty seconds
        await poller.wait_due()
        await poller.poll()
    began = trio.current_time()
    assert reactor.next_stop_step(began) < began + 15
    await poller.wait_due()
    assert trio.current_time() - began >= 60
