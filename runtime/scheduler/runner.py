"""`BackendRunner`: the task of one backend of a run. A backend that is slow or breaks affects no other.

It is told actions on one channel, and tells facts on another: what came of the actions, and that the backend has ended.
The backend sends its events on that channel as well, so they come before what the runner tells later.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import trio

from runtime.backend.contract.backend import RuntimeBackend
from runtime.errors import NO_MEMORY, BackendBrokenError, is_out_of_memory
from runtime.job.protocol import Job
from runtime.scheduler.actions import Action, Kill, Submit
from runtime.scheduler.facts import BackendEnded, Fact, SubmissionFailed, Submitted, Withdrawn

if TYPE_CHECKING:  # a run without a journal does not load it
    from runtime.journal.recorder import Recorder

logger: Final = logging.getLogger("runtime.scheduler")

SLOW_SUBMISSION: Final = 1.0
"""Seconds after which the next submission no longer waits for one that is in progress. Arbitrary: ten times longer, a
hook that hangs would delay other jobs by that much; ten times shorter, arrays would be split on a slow batch system."""


class BackendRunner:
    """Carries out the actions of a plan on one backend.

    Args:
        name: the plan's name for the backend.
        backend: not opened yet.
        actions: what to do. The first is a `Submit`. When the channel ends, so does the runner.
        facts: where it and the backend tell what happened; without a limit, so that telling never waits. The runner
            closes it. Its last fact is a `BackendEnded`.
        recorder: has recorded the intent of each `Submit` before its action comes; `None` without a journal.
    """

    def __init__(
        self,
        name: str,
        backend: RuntimeBackend,
        actions: trio.MemoryReceiveChannel[Action],
        facts: trio.MemorySendChannel[Fact],
        recorder: Recorder | None = None,
    ) -> None:
        self._name = name
        self._backend = backend
        self._actions = actions
        self._facts = facts
        self._recorder = recorder
        self._pending: list[Job] = []
        """Jobs for the next submission."""
        self._attempts: dict[str, int] = {}
        """As in `Submit`, for the next submission."""
        self._is_starting = False
        """Whether a submission is about to begin: it takes all jobs that are pending then."""
        self._in_progress = 0
        """How many submissions are in progress, or about to begin."""
        self._begun = -math.inf
        """When the last of them began, in seconds of `trio.current_time`."""
        self._waiting = trio.CancelScope()
        """Its deadline is when to begin the next submission although one is still in progress."""

    @trio.lowlevel.enable_ki_protection
    async def run(self, run_token: str) -> None:
        """Serve the backend until there are no more actions, or it breaks: then its jobs end, and the run goes on."""
        why = f"backend {self._name!r} ended before its jobs did"
        with self._actions, self._facts:
            try:
                async for first in self._actions:
                    # Opened only now: a backend without jobs is never opened.
                    async with self._backend.open(self._facts, run_token) as backend, trio.open_nursery() as calls:
                        self._carry_out(first, backend, calls)
                        await self._serve(backend, calls)
            except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever it is, an exit too, other backends go on
                why = self._log_broken(exc)
            finally:
                self._facts.send_nowait(BackendEnded(self._name, why))

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
        """Carry out actions until there are no more."""
        while True:
            with trio.CancelScope() as self._waiting:
                self._submit_if_due(backend, calls)
                async for action in self._actions:
                    self._carry_out(action, backend, calls)
                return

    def _carry_out(self, action: Action, backend: RuntimeBackend, calls: trio.Nursery) -> None:
        if isinstance(action, Submit):
            self._pending += action.jobs
            self._attempts |= action.attempts
            self._submit_if_due(backend, calls)
            return
        ids = frozenset(action.ids)
        withdrawn = [job for job in self._pending if job.id in ids]
        if withdrawn:  # at once, although a submission that is in progress may take long
            self._pending = [job for job in self._pending if job.id not in ids]
            self._facts.send_nowait(Withdrawn(self._name, withdrawn))
        calls.start_soon(self._kill, backend, action)

    def _submit_if_due(self, backend: RuntimeBackend, calls: trio.Nursery) -> None:
        """Begin a submission, if there are jobs for it and it need not wait for another; else set when it need not."""
        due = math.inf
        if self._pending and not self._is_starting:
            most = backend.max_submissions
            due = -math.inf if most is None or self._in_progress < most else self._begun + SLOW_SUBMISSION
        now = trio.current_time()
        if due <= now:
            self._is_starting = True
            self._in_progress += 1
            self._begun = now
            calls.start_soon(self._submit, backend, calls)
            due = math.inf
        self._waiting.deadline = due

    @trio.lowlevel.enable_ki_protection
    async def _submit(self, backend: RuntimeBackend, calls: trio.Nursery) -> None:
        """Submit the jobs that are pending now, and tell the answer."""
        if self._recorder is not None:
            await self._recorder.wait_for_intents(durable=backend.jobs_outlive_runtime)
        # Taken here, not when this task was started: a kill that comes in between finds them, and withdraws them. If
        # they were in neither place, the kill would be lost.
        jobs, self._pending = self._pending, []
        attempts, self._attempts = self._attempts, {}
        self._is_starting = False
        if jobs:
            self._facts.send_nowait(await self._answer(backend, jobs, attempts))
        self._in_progress -= 1
        self._submit_if_due(backend, calls)

    async def _answer(self, backend: RuntimeBackend, jobs: list[Job], attempts: Mapping[str, int]) -> Fact:
        try:
            accepted = await backend.submit_many(jobs, attempts=attempts)
        except (Exception, SystemExit) as exc:
            # A bug of the backend, as it was given no duplicate. Jobs that it has launched all the same are killed, and
            # complete; the others end by the fact, which comes after those completions: they would be stray otherwise.
            logger.exception("backend %r raised from submit_many", self._name)
            await backend.kill_many([job.id for job in jobs], by="the scheduler, because its submission raised")
            completed = backend.statistics().completed
            while (now := backend.statistics()).completed - now.undelivered < completed:
                await trio.lowlevel.checkpoint()  # a few times: the courier's next step sends them, and never waits
            why = f"backend {self._name!r} could not launch it: {exc!r}"
            return SubmissionFailed(self._name, jobs, why, attempts)
        return Submitted(self._name, jobs, accepted, backend.busy_because, attempts)

    @staticmethod
    @trio.lowlevel.enable_ki_protection
    async def _kill(backend: RuntimeBackend, action: Kill) -> None:
        await backend.kill_many(action.ids, by=action.by, force=action.force)
