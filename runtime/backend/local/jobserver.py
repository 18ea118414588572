"""`Jobserver`: shares the slots of a backend among its jobs and the processes of their makes and compilers.

It is the server of GNU make's jobserver protocol, and each job that asks for it (`JobSpec.jobserver`) is a client: it
holds one slot by running, and takes a token for each further process. `TokenPool` decides who gets the tokens; here
they are put into pipes, and taken out of them.

Each job has pipes of its own. So it is known how many tokens each job holds, and those of a job that was killed come
back with its end: a `make` that dies returns nothing, and in a pipe that all jobs share nobody could tell whose tokens
are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.live import WAITING, LiveJob
from runtime.backend.local.token_pipes import TokenPipes
from runtime.backend.local.token_pool import TokenHolder, TokenPool

BUSY: Final = "its slots are held by running jobs, and by processes that they have started with tokens of the jobserver"

_LOOK_AGAIN: Final = 0.05
"""Seconds until a pipe is looked at again whose events say nothing: it has more in it than the job can have taken; or
it can be written to and is not empty, as when the job has given it another capacity. Arbitrary: ten times shorter uses
a percent of a CPU for each such job; ten times longer, and it waits so long for its next token."""


@attrs.define(eq=False)
class _Client:
    """A job that uses the jobserver."""

    pipes: TokenPipes
    holder: TokenHolder = attrs.field(factory=TokenHolder)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Encloses the tasks that wait for its pipes; cancelled when the job has ended."""
    offered: trio.Event = attrs.field(factory=trio.Event)
    """Set when tokens are put into its empty pipe."""


@attrs.define(eq=False)
class _Waiter:
    """A submission that waits for a slot."""

    jobs: Sequence[LiveJob]
    admitted: Sequence[LiveJob] = ()
    """Those that may start, once `done` is set."""
    done: trio.Event = attrs.field(factory=trio.Event)

    def waiting(self) -> list[LiveJob]:
        """Return those of its jobs that have not been killed."""
        return [job for job in self.jobs if job.stage is WAITING]


class Jobserver:
    """Gives tokens to jobs, and slots to those that are to start.

    Args:
        control: tells which jobs there are.
        limit: returns how many slots the backend has now; `None` for no limit, and then no further tokens are given.
    """

    def __init__(self, control: Control, limit: Callable[[], int | None]) -> None:
        self.pool: Final = TokenPool(0)
        """Who holds the slots."""
        self._control = control
        self._limit = limit
        self._clients: dict[LiveJob, _Client] = {}
        self._waiters: list[_Waiter] = []
        self._changed = trio.Event()

    def connect(self, job: LiveJob, pipes: TokenPipes) -> None:
        """Serve a job that has started, until it ends; `pipes` are closed then."""
        client = _Client(pipes)
        self._clients[job] = client
        self.pool.holders.append(client.holder)
        self._control.start_task(self._serve, client)
        self.note_change()

    def note_ended(self, jobs: Sequence[LiveJob]) -> None:
        """Take note that jobs are no longer live: their slots are free, and so are their tokens, returned or not."""
        for job in jobs:
            client = self._clients.pop(job, None)
            if client is not None:
                self.pool.holders.remove(client.holder)
                client.scope.cancel()
        self.note_change()

    def note_change(self) -> None:
        """Spread the slots anew, soon."""
        self._changed.set()

    async def admit(self, jobs: Sequence[LiveJob]) -> Sequence[LiveJob]:
        """Return those of `jobs` that have a slot now, the first ones; wait until at least one has, or none is left.

        The others are refused: the scheduler offers them again soon. So no job that has started waits for another one
        of its submission.
        """
        if not self._clients:
            return jobs
        waiter = _Waiter(jobs)
        self._waiters.append(waiter)
        self.note_change()
        try:
            await waiter.done.wait()
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return waiter.admitted

    # ------------------------------------------------------------------ the tasks

    async def run(self) -> None:
        """Spread the slots whenever something has changed. Returns only if cancelled."""
        while True:
            with trio.move_on_at(self.pool.wake_at()) as scope:
                await self._changed.wait()
            self._changed = trio.Event()
            if scope.cancelled_caught:  # what has not been taken for a while may have been taken since
                for client in self._clients.values():
                    self._look(client)
            self._spread()

    async def _serve(self, client: _Client) -> None:
        try:
            with client.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch_returned, client)
                    nursery.start_soon(self._watch_taken, client)
        finally:
            client.pipes.close()

    @trio.lowlevel.enable_ki_protection
    async def _watch_returned(self, client: _Client) -> None:
        while not client.holder.is_closed:
            await client.pipes.wait_returned()
            is_honest = self._look(client)
            self.note_change()
            if not is_honest:  # one that writes for ever must not keep the event loop busy
                await trio.sleep(_LOOK_AGAIN)

    @trio.lowlevel.enable_ki_protection
    async def _watch_taken(self, client: _Client) -> None:
        while True:
            await client.offered.wait()
            await client.pipes.wait_empty()
            self._look(client)
            if client.holder.offered:
                await trio.sleep(_LOOK_AGAIN)
            else:
                client.offered = trio.Event()
            self.note_change()

    # ------------------------------------------------------------------ what they do

    def _look(self, client: _Client) -> bool:
        """Observe the pipes of a job; return whether it has returned no more than it held."""
        held = client.holder.held
        returned = client.pipes.returned()  # before the other pipe is counted: see `TokenPool.observe`
        if returned is None:
            client.holder.is_closed, returned = True, 0
        forged = self.pool.observe(client.holder, client.pipes.in_pipe(), returned, trio.current_time())
        if forged:
            client.pipes.take_out(forged)
        return returned <= held

    def _spread(self) -> None:
        """Take back tokens that others need, let waiting jobs start, and offer what is free then."""
        now, pool = trio.current_time(), self.pool
        clients = {client.holder: client for client in self._clients.values()}
        self._count()
        for holder, count in pool.to_take_back(now).items():
            pool.take_back(holder, count, clients[holder].pipes.take_out(count), now)
        self._start_waiting()
        for holder, count in pool.to_offer(now).items():
            client = clients[holder]
            pool.offer(holder, client.pipes.put(count), now)
            client.offered.set()

    def _count(self) -> None:
        """Tell the pool how many slots there are, how many jobs hold one, and how many wait for one.

        Jobs that have been accepted, and do not wait here, count as running: each is about to start, or has just ended.
        """
        self.pool.waiting = sum(len(waiter.waiting()) for waiter in self._waiters)
        self.pool.running = self._control.live - self.pool.waiting
        limit = self._limit()
        self.pool.slots = self.pool.held + self._control.live if limit is None else limit

    def _start_waiting(self) -> None:
        """Let jobs start that wait, in the order in which they came, as far as there are slots."""
        for waiter in list(self._waiters):
            jobs = waiter.waiting()
            count = min(len(jobs), self.pool.startable())
            if count or not jobs:
                self._waiters.remove(waiter)
                waiter.admitted = jobs[:count]
                for job in jobs[count:]:
                    self._control.refuse(job, BUSY)
                waiter.done.set()
                self._count()
