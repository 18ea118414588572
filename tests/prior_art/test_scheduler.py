"""Faults of DVSim's scheduler: each is shown there (`dvsim_scheduler`), and not to exist here.

DVSim's interpreter is named by `DVSIM_PYTHON`; `make test` makes one.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime import FakeBackend, GraphError, JobSpec, JobStatus, Scheduler, run_jobs
from runtime.backend.contract.live import LiveJob
from runtime.backend.fake import FakeDriver, FakeRun
from runtime.scheduler.graph import Node
from runtime.scheduler.ready import ReadyQueue
from tests.backend.manual import driven_by
from tests.scheduler.planning import job


@functools.cache
def dvsim() -> dict[str, Any]:
    program = Path(__file__).with_name("dvsim_scheduler.py")
    done = subprocess.run(
        [os.environ["DVSIM_PYTHON"], program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


async def test_a_busy_backend_does_not_make_it_spin(autojump_clock: MockClock) -> None:
    assert dvsim()["busy"]["asked"] > 100  # in 1,000 iterations of its event loop
    asked: list[float] = []

    def busy(_job: JobSpec, _attempt: int) -> FakeRun:
        asked.append(trio.current_time())
        return FakeRun(busy=True)

    with trio.move_on_after(60):
        await run_jobs([job("a")], FakeBackend(busy))
    assert len(asked) < 20  # in a minute


async def test_one_backend_that_breaks_neither_aborts_the_run_nor_orphans_jobs(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    assert dvsim()["breaks"] == {"aborted": True, "left running": ["b"], "killed": []}

    class Breaks(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            raise ZeroDivisionError

    fine = FakeBackend(lambda _job, _attempt: FakeRun(duration=10))
    with caplog.at_level(logging.CRITICAL):
        a, b = await run_jobs(
            [job("a", backend="breaks"), job("b")],
            {"fine": fine, "breaks": driven_by(Breaks, FakeBackend, name="breaks")},
        )
    assert (a.status, b.status) == (JobStatus.KILLED, JobStatus.PASSED)


async def test_one_slow_submit_holds_back_no_other_completion(autojump_clock: MockClock) -> None:
    assert dvsim()["slow"] == {"before": ["a"], "after": ["a", "b"]}

    class Slow(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            await trio.sleep(100)
            await super().launch(jobs)

    jobs = [job("slow", backend="slow"), job("a"), job("b", "a")]
    _, a, b = await run_jobs(jobs, {"quick": FakeBackend(), "slow": driven_by(Slow, FakeBackend)})
    assert (a.ended, b.ended) == (0, 0)


async def test_the_library_touches_no_signal_handler(autojump_clock: MockClock) -> None:
    assert dvsim()["handlers"] == {"left behind": True}
    seen: dict[int, Any] = {}

    def look(_job: JobSpec, _attempt: int) -> FakeRun:
        seen.update(handlers())
        return FakeRun()

    before = handlers()
    await run_jobs([job("a")], FakeBackend(look))
    assert before == seen == handlers()


def handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


async def test_a_second_stop_is_acted_on_while_a_kill_blocks(autojump_clock: MockClock) -> None:
    assert dvsim()["second_signal"] == {"signals": 2, "kills asked for": 1, "ended": False}

    class Stubborn(FakeDriver):
        kill_deadline = math.inf

        def force(self, jobs: Sequence[LiveJob]) -> None:
            for live in jobs:
                self.control.finish_stopped(live)

    scheduler = Scheduler(
        [job("a")],
        driven_by(Stubborn, FakeBackend, lambda _job, _attempt: FakeRun(duration=math.inf, kill_duration=math.inf)),
    )

    async def stop_twice() -> None:
        await trio.sleep(1)
        scheduler.stop(by="SIGTERM")
        await trio.sleep(1)
        scheduler.stop(by="SIGTERM", force=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_twice)
        (result,) = await scheduler.run()
    assert (result.status, result.ended) == (JobStatus.KILLED, 2)


async def test_an_observer_that_raises_does_not_abort_the_run(autojump_clock: MockClock) -> None:
    assert dvsim()["observer"] == {"aborted": True}
    scheduler = Scheduler([job("a"), job("b", "a")], FakeBackend())
    ends: list[JobStatus] = []

    async def observer() -> None:
        with scheduler.subscribe() as stream:
            async for _change in stream:
                raise ZeroDivisionError

    async def run() -> None:
        with trio.CancelScope(shield=True):
            ends.extend(result.status for result in await scheduler.run())

    with pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            nursery.start_soon(observer)
    assert ends == [JobStatus.PASSED, JobStatus.PASSED]


def test_two_jobs_of_one_name_are_an_error_and_none_vanishes() -> None:
    assert dvsim()["twins"] == {"results": 1}
    with pytest.raises(GraphError, match="job 'a' is given twice"):
        Scheduler([job("a"), job("a")], FakeBackend())


async def test_a_full_backend_is_not_looked_at_again_and_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dvsim()["full"]["pops"] == 201 * 200 / 2
    taken = 0
    take = ReadyQueue.take

    def counting(queue: ReadyQueue, most: float) -> list[Node]:
        nonlocal taken
        nodes = take(queue, most)
        taken += max(1, len(nodes))
        return nodes

    monkeypatch.setattr(ReadyQueue, "take", counting)
    await run_jobs([job(f"j{i}") for i in range(200)], FakeBackend(max_parallelism=1))
    assert taken == 200


async def test_what_waits_in_a_cluster_is_not_shown_as_running(autojump_clock: MockClock) -> None:
    """DVSim has no status for it: every dispatched job is RUNNING."""
    scheduler = Scheduler([job("a")], FakeBackend(lambda _job, _attempt: FakeRun(duration=5, queued=100)))
    seen = []

    async def observe() -> None:
        for _ in range(2):
            await trio.sleep(51)
            seen.append({status.name for status, count in scheduler.statistics().counts.items() if count})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(observe)
        (result,) = await scheduler.run()
    assert seen == [{"QUEUED"}, {"RUNNING"}]
    assert (result.submitted, result.started, result.ended) == (0, 100, 105)
