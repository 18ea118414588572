"""`BackendRunner`: the task of one backend of a run. A backend that is slow or breaks affects no other.

It opens the backend when the first job for it is ready, submits and kills as the plan says, and reports events to the
plan.
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
"""Seconds after which the next submission no longer waits for one that is in progress. Arbitrary: ten times longer, a
hook that hangs would delay other jobs by that much; ten times shorter, arrays would be split on a slow batch system."""


class BackendRunner:
    """Connects a plan to one backend.

    Args:
        name: the plan's name for the backend.
        backend: not opened yet.
        plan: receives the facts.
        dispatch: called after each batch of facts, to carry out what the plan decides.
    """

    def __init__(self, name: str, backend: RuntimeBackend, plan: Plan, dispatch: Callable[[], None]) -> None:
        self._name = name
        self._backend = backend
        self._plan = plan
        self._dispatch = dispatch
        self._pending: list[Node] = []
        """Jobs for the next submission."""
        self._kills: list[Kill] = []
        self._wakeup = trio.Event()
        self._finished = False
        self._submitting = 0
        """How many submissions are in progress."""
        self._submitted = -math.inf
        """When the last of them began, in seconds of `trio.current_time`."""
        self._broken_because = ""
        self._received = 0
        """How many completions the plan has received."""
        self._arrivals = trio.lowlevel.ParkingLot()

    def submit(self, action: Submit) -> None:
        """Queue jobs for the next submission."""
        self._pending.extend(action.nodes)
        self._wakeup.set()

    def kill(self, action: Kill) -> None:
        """Queue a kill; jobs that were not submitted yet end at once."""
        self._pending = self._plan.launching(self._pending, trio.current_time())
        self._kills.append(action)
        self._wakeup.set()

    def finish(self) -> None:
        """Let `run` return: there is nothing more to do."""
        self._finished = True
        self._wakeup.set()

    def force(self, by: str) -> None:
        """Kill all jobs without soft stop and SIGTERM, also where a kill is in progress."""
        self._backend.close(by=by, force=True)

    @trio.lowlevel.enable_ki_protection
    async def run(self, run_token: str) -> None:
        """Serve the backend until `finish`, or until it breaks: then its jobs end, and the run goes on without it."""
        while not self._pending:
            if self._finished:
                return
            await self._wait_wakeup(math.inf)
        # Without a buffer: the plan has every event that a backend has sent.
        send, receive = trio.open_memory_channel[EventBatch](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, receive)
            with send:
                try:
                    async with self._backend.open(send, run_token) as backend, trio.open_nursery() as calls:
                        await self._serve(backend, calls)
                except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever it is, an exit too, other backends go on
                    self._broken_because = self._log_broken(exc)

    def _log_broken(self, error: BaseException) -> str:
        """Log why the backend broke; return the reason for its jobs."""
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
        while not self._finished:
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
                await self._wait_wakeup(min(next_submission, self._plan.retry_at(self._name)))
            self._dispatch()

    def _next_submission(self, most: int | None) -> float:
        """Return when the pending jobs may be submitted; `math.inf` if there are none."""
        if not self._pending:
            return math.inf
        if most is None or self._submitting < most:
            return -math.inf
        return self._submitted + SLOW_SUBMISSION

    async def _wait_wakeup(self, deadline: float) -> None:
        with trio.move_on_at(deadline):
            await self._wakeup.wait()
        self._wakeup = trio.Event()  # no wakeup is lost: there is no checkpoint before the caller looks at what is new

    @trio.lowlevel.enable_ki_protection
    async def _submit(self, backend: RuntimeBackend, nodes: list[Node]) -> None:
        # A kill may have come since this task was started; `kill` no longer found the jobs in `_pending`.
        nodes = self._plan.launching(nodes, trio.current_time())
        try:
            handles = await backend.submit_many(
                [node.job for node in nodes], attempts={node.id: node.attempt for node in nodes if node.attempt != 1}
            )
        except (Exception, SystemExit) as exc:
            # A bug of the backend, as it was given no duplicate. Jobs that it has launched all the same are killed, and
            # complete; the others end here, after the plan has those completions, which otherwise would be stray.
            logger.exception("backend %r raised from submit_many", self._name)
            await backend.kill_many([node.id for node in nodes], by="the scheduler, because its submission raised")
            await self._wait_received(backend.statistics().completed)
            self._plan.launch_failed(nodes, f"backend {self._name!r} could not launch it: {exc!r}", trio.current_time())
        else:
            self._plan.submitted(nodes, handles, trio.current_time(), backend.busy_because)
        self._submitting -= 1
        self._dispatch()
        self._wakeup.set()

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
        # Shielded, because the completions of a cancelled run count as well. The shield has no deadline of its own: the
        # channel ends with the backend's block, whose end is bounded.
        with trio.CancelScope(shield=True), receive:
            async for batch in receive:
                self._received += plan.received(batch, trio.current_time())
                self._dispatch()
                self._arrivals.unpark_all()
        if not self._finished:
            message = self._broken_because or f"backend {self._name!r} ended before its jobs did"
            plan.backend_gone(self._name, message, trio.current_time())
            self._dispatch()
