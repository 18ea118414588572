"""`BackendRunner`: the task of one backend of a run. A backend that is slow or breaks affects no other.

It opens the backend when there is a first job for it, hands over what the plan says, and reports what comes back. Its
receiver is shielded until the channel ends, because the completions of a cancelled run count as well; that is bounded,
because the end of the backend's block is.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

import trio

from runtime.backend.backend import RuntimeBackend
from runtime.errors import NO_MEMORY, BackendBrokenError, is_out_of_memory
from runtime.job import EventBatch
from runtime.scheduler.actions import Kill, Submit
from runtime.scheduler.graph import Node
from runtime.scheduler.plan import Plan

logger: Final = logging.getLogger("runtime.scheduler")

SLOW_SUBMISSION: Final = 1.0
"""Seconds after which the next submission no longer waits for one that is in progress. Arbitrary."""


class BackendRunner:
    """The road between a plan and one backend.

    Args:
        name: what the plan calls the backend.
        backend: not yet opened.
        plan: gets the facts.
        turn: called after each batch of facts, so that the plan is asked what to do next.
    """

    def __init__(self, name: str, backend: RuntimeBackend, plan: Plan, turn: Callable[[], None]) -> None:
        self._name = name
        self._backend = backend
        self._plan = plan
        self._turn = turn
        self._pending: list[Node] = []
        self._kills: list[Kill] = []
        self._news = trio.Event()
        self._over = False
        self._submitting = 0
        """How many submissions are in progress."""
        self._submitted = -math.inf
        """When the last of them began."""
        self._gone = ""
        self._received = 0
        """How many completions the plan was told of."""
        self._arrivals = trio.lowlevel.ParkingLot()

    def submit(self, action: Submit) -> None:
        """Take on jobs to hand over."""
        self._pending.extend(action.nodes)
        self._news.set()

    def kill(self, action: Kill) -> None:
        """Take on jobs to end; those that were not handed over yet end here."""
        self._pending = self._plan.launching(self._pending, trio.current_time())
        self._kills.append(action)
        self._news.set()

    def finish(self) -> None:
        """There will be nothing more to do."""
        self._over = True
        self._news.set()

    def force(self, by: str) -> None:
        """Leave out the gentle steps of every kill, those that are in progress included."""
        self._backend.close(by=by, force=True)

    @trio.lowlevel.enable_ki_protection
    async def run(self, run_token: str) -> None:
        """Serve until `finish`, or until the backend breaks; then its jobs end, and the run goes on without it."""
        while not self._pending:
            if self._over:
                return
            await self._wait_news(math.inf)
        send, receive = trio.open_memory_channel[EventBatch](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, receive)
            with send:
                try:
                    async with self._backend.open(send, run_token) as backend, trio.open_nursery() as calls:
                        await self._serve(backend, calls)
                except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever it is, an exit too, other backends go on
                    self._gone = self._say_broken(exc)

    def _say_broken(self, error: BaseException) -> str:
        """Log why the backend has gone; return that, for the reasons of its jobs."""
        if isinstance(error, BackendBrokenError):
            why = str(error)
        elif is_out_of_memory(error):
            why = f"backend {self._name!r} broke: {NO_MEMORY}"
        else:
            logger.error("backend %r broke; its jobs are ended, other backends go on", self._name, exc_info=error)
            return f"backend {self._name!r} broke: {error!r}"
        logger.error("%s; the jobs of backend %r are ended, other backends go on", why, self._name)
        return why

    async def _serve(self, backend: RuntimeBackend, calls: trio.Nursery) -> None:
        while not self._over:
            for action in self._kills:
                calls.start_soon(self._kill, backend, action)
            self._kills.clear()
            now = trio.current_time()
            next_submission = self._next_submission(backend.max_submissions)
            if next_submission <= now:
                nodes, self._pending = self._pending, []
                self._submitting += 1
                self._submitted = now
                calls.start_soon(self._submit, backend, nodes)
            else:
                await self._wait_news(min(next_submission, self._plan.retry_at(self._name)))
            self._turn()

    def _next_submission(self, most: int | None) -> float:
        """Return from when on what is pending may be handed over; `math.inf` if there is nothing."""
        if not self._pending:
            return math.inf
        if most is None or self._submitting < most:
            return -math.inf
        return self._submitted + SLOW_SUBMISSION

    async def _wait_news(self, deadline: float) -> None:
        with trio.move_on_at(deadline):
            await self._news.wait()
        self._news = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def _submit(self, backend: RuntimeBackend, nodes: list[Node]) -> None:
        nodes = self._plan.launching(nodes, trio.current_time())
        try:
            handles = await backend.submit_many(
                [node.job for node in nodes], attempts={node.id: node.attempt for node in nodes if node.attempt != 1}
            )
        except (Exception, SystemExit) as exc:
            # A bug of the backend's, for we gave it no duplicate. Whatever it launched all the same is killed, and
            # completes by itself; the rest ends here.
            logger.exception("backend %r raised from submit_many", self._name)
            await backend.kill_many([node.id for node in nodes], by="the scheduler, because its submission raised")
            await self._wait_received(backend.statistics().completed)
            self._plan.launch_failed(nodes, f"backend {self._name!r} could not launch it: {exc!r}", trio.current_time())
        else:
            self._plan.submitted(nodes, handles, trio.current_time(), backend.busy_because)
        self._submitting -= 1
        self._turn()
        self._news.set()

    async def _wait_received(self, completions: int) -> None:
        while self._received < completions:
            await self._arrivals.park()

    @staticmethod
    @trio.lowlevel.enable_ki_protection
    async def _kill(backend: RuntimeBackend, action: Kill) -> None:
        await backend.kill_many(action.ids, by=action.by, force=action.force)

    @trio.lowlevel.enable_ki_protection
    async def _receive(self, receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
        plan = self._plan
        with trio.CancelScope(shield=True), receive:
            async for batch in receive:
                self._received += plan.received(batch, trio.current_time())
                self._turn()
                self._arrivals.unpark_all()
        if not self._over:
            message = self._gone or f"backend {self._name!r} ended before its jobs did"
            plan.backend_gone(self._name, message, trio.current_time())
            self._turn()
