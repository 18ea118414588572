"""The tasks of the jobserver, in virtual time, on pipes that are numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.backend.contract.control import Control
from runtime.backend.contract.live import DONE, LiveJob, make_live
from runtime.backend.local.jobserver import Jobserver
from runtime.backend.local.token_pool import IDLE
from runtime.job import JobSpec


class Pipes:
    """What is in the pipes of a job; the test is the job."""

    makeflags = ""

    def __init__(self) -> None:
        self.tokens = 0
        self.back = 0
        self.between: Callable[[], object] = lambda: None
        """Called once, between the observations of the two pipes."""
        self.is_closed = False
        self._changed = trio.Event()

    def take_inherited(self) -> tuple[int, ...]:
        return ()

    def put(self, count: int) -> int:
        self.tokens += count
        return count

    def take_out(self, count: int) -> int:
        got = min(count, self.tokens)
        self.tokens -= got
        return got

    def in_pipe(self) -> int:
        tokens = self.tokens
        self._once()
        return tokens

    def returned(self) -> int | None:
        back, self.back = self.back, 0
        self._once()
        return back

    def _once(self) -> None:
        between, self.between = self.between, lambda: None
        between()

    async def wait_returned(self) -> None:
        while not self.back:
            await self._changed.wait()

    async def wait_empty(self) -> None:
        while self.tokens:
            await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def close(self) -> None:
        self.is_closed = True

    def take(self, count: int = 1) -> None:
        """Take tokens, as the job."""
        assert self.take_out(count) == count
        self._change()

    def give_back(self, count: int = 1) -> None:
        """Return tokens, as the job."""
        self.back += count
        self._change()


class Jobs:
    """Stands for a `Control`: the live jobs, which the test starts and ends."""

    def __init__(self, nursery: trio.Nursery, slots: int | None) -> None:
        self._nursery = nursery
        self.slots = slots
        self.live = 0
        self.refused: list[str] = []
        self.server = Jobserver(cast("Control", self), lambda: self.slots)

    def start_task(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        self._nursery.start_soon(function, *args)

    def refuse(self, job: LiveJob, why: str) -> None:
        self.refused.append(job.id)
        self.end(job)

    def make(self, *names: str) -> list[LiveJob]:
        """Return jobs that have just been accepted."""
        self.live += len(names)
        return make_live([JobSpec(name=name, cmd="true") for name in names], 0)

    def client(self, name: str) -> tuple[LiveJob, Pipes]:
        """Return a job that has started as a client."""
        (job,), pipes = self.make(name), Pipes()
        self.server.connect(job, pipes)
        return job, pipes

    def end(self, job: LiveJob) -> None:
        self.live -= 1
        job.stage = DONE
        self.server.note_ended([job])


@asynccontextmanager
async def jobserver(slots: int | None) -> AsyncIterator[Jobs]:
    async with trio.open_nursery() as nursery:
        jobs = Jobs(nursery, slots)
        nursery.start_soon(jobs.server.run)
        yield jobs
        jobs.server.pool.sanity_check()
        nursery.cancel_scope.cancel()


async def test_a_token_that_is_taken_and_returned_between_two_looks_is_not_lost(autojump_clock: MockClock) -> None:
    async with jobserver(4) as jobs:
        _, pipes = jobs.client("a")
        await wait_all_tasks_blocked()
        assert pipes.tokens == 3
        pipes.take()

        def take_and_return() -> None:
            pipes.take()
            pipes.give_back()

        pipes.between = take_and_return
        pipes.give_back()
        await wait_all_tasks_blocked()
        await trio.sleep(0.001)
        assert (pipes.tokens, jobs.server.pool.holders[0].taken) == (3, 0)


async def test_a_token_that_is_not_taken_goes_on_to_a_job_that_would(autojump_clock: MockClock) -> None:
    async with jobserver(4) as jobs:
        (_, idle), (_, busy) = jobs.client("a"), jobs.client("b")
        await wait_all_tasks_blocked()
        assert (idle.tokens, busy.tokens) == (1, 1)
        busy.take()
        await trio.sleep(IDLE + 0.001)
        assert (idle.tokens, busy.tokens) == (0, 1)


async def test_what_a_job_held_when_it_ended_goes_to_others(autojump_clock: MockClock) -> None:
    async with jobserver(4) as jobs:
        (one, first), (_, second) = jobs.client("a"), jobs.client("b")
        await wait_all_tasks_blocked()
        first.take()
        jobs.end(one)
        await wait_all_tasks_blocked()
        assert first.is_closed
        assert second.tokens == 3


async def test_jobs_that_wait_get_slots_in_the_order_in_which_they_came(autojump_clock: MockClock) -> None:
    async with jobserver(3) as jobs, trio.open_nursery() as nursery:
        _, pipes = jobs.client("a")
        await wait_all_tasks_blocked()
        pipes.take(2)
        started: list[list[str]] = []

        async def submit(*names: str) -> None:
            started.append([job.id for job in await jobs.server.admit(jobs.make(*names))])

        for names in (("b", "c"), ("d",)):
            nursery.start_soon(submit, *names)
            await wait_all_tasks_blocked()
        assert started == []
        pipes.give_back()
        await wait_all_tasks_blocked()
        assert (started, jobs.refused) == ([["b"]], ["c"])
        pipes.give_back()
        await wait_all_tasks_blocked()
        assert (started, pipes.tokens) == ([["b"], ["d"]], 0)


async def test_offers_are_taken_back_for_a_job_that_is_to_start(autojump_clock: MockClock) -> None:
    async with jobserver(3) as jobs:
        _, pipes = jobs.client("a")
        await wait_all_tasks_blocked()
        assert pipes.tokens == 2
        assert len(await jobs.server.admit(jobs.make("b"))) == 1
        assert pipes.tokens == 1


async def test_a_submission_all_of_whose_jobs_were_killed_waits_no_longer(autojump_clock: MockClock) -> None:
    async with jobserver(2) as jobs, trio.open_nursery() as nursery:
        _, pipes = jobs.client("a")
        await wait_all_tasks_blocked()
        pipes.take()
        job, other = jobs.make("b", "c")
        nursery.start_soon(jobs.server.admit, [job, other])
        await wait_all_tasks_blocked()
        jobs.end(job)
        await wait_all_tasks_blocked()
        assert jobs.server.pool.waiting == 1
        jobs.end(other)
        await wait_all_tasks_blocked()
        assert jobs.server.pool.waiting == 0


async def test_when_the_limit_is_lifted_jobs_start_and_tokens_stay_as_they_are(autojump_clock: MockClock) -> None:
    async with jobserver(2) as jobs:
        _, pipes = jobs.client("a")
        await wait_all_tasks_blocked()
        pipes.take()
        jobs.slots = None
        assert len(await jobs.server.admit(jobs.make("b", "c"))) == 2
        assert pipes.tokens == 0


async def test_a_job_that_returns_without_end_does_not_keep_the_loop_busy(autojump_clock: MockClock) -> None:
    async with jobserver(4) as jobs:
        _, pipes = jobs.client("a")
        await wait_all_tasks_blocked()
        looks = 0

        def flood() -> None:
            nonlocal looks
            looks += 1
            pipes.give_back(1000)
            pipes.between = flood

        flood()
        await trio.sleep(1)
        assert looks < 50
        assert jobs.server.pool.held == 3
