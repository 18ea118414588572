"""`Adopter`: jobs that a previous incarnation of this run left in the queue are found, and adopted or ended."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, TypeVarTuple

import trio

from runtime.backend.batch.element import ABSENT, ADOPTABLE, STRAY, Element
from runtime.backend.batch.files import Files
from runtime.backend.batch.job import BatchJob
from runtime.backend.batch.job_tracker import JobTracker
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.reactor import Reactor
from runtime.backend.batch.schedule import Schedule
from runtime.backend.batch.system import Unanswered
from runtime.backend.batch.tokens import job_token, run_prefix
from runtime.backend.contract.control import Control
from runtime.backend.contract.live import DONE, LiveJob
from runtime.backend.job_paths import job_paths
from runtime.backend.launch_progress import LaunchProgress
from runtime.job import FailureKind
from runtime.process import is_out_of_resources

logger: Final = logging.getLogger("runtime.backend.batch")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Adopter:
    """Adopts the jobs of a previous incarnation of the same run.

    Args:
        control: records what happens to the jobs.
        queue: the queue.
        files: the files of the run.
        reactor: the elements that may be in the queue.
        schedule: when the queue is asked whether earlier attempts have ended.
        tracker: follows the jobs that are adopted.
        kill_timeout: seconds that earlier attempts may take to leave the queue; `None` for no limit.
    """

    def __init__(
        self,
        control: Control,
        queue: Queue,
        files: Files,
        reactor: Reactor,
        schedule: Schedule,
        tracker: JobTracker,
        kill_timeout: float | None,
    ) -> None:
        self._control = control
        self._queue = queue
        self._files = files
        self._reactor = reactor
        self._schedule = schedule
        self._tracker = tracker
        self._kill_timeout = math.inf if kill_timeout is None else kill_timeout
        self._found: dict[str, list[str]] = {}
        """The tokens that were found, by id of the job: one for each attempt."""
        self._revoked: set[str] = set()
        """The tokens of those that are in the queue and never begin: they were being stopped."""

    async def find(self) -> None:
        """Find the jobs of a previous incarnation in the queue and in the run directory.

        Waits until the queue answers, and until there are descriptors: a job that is overlooked would run twice.
        """
        store, queue, reactor = self._files.store, self._queue, self._reactor
        found = await self._until_descriptors_are_free(store.arrays, run_prefix(self._control.run_token))
        if not found:
            return
        arrays = {name: [token for token, _, _ in members] for name, members in found.items()}
        for name, tokens in arrays.items():
            reactor.arrays.put(name, tokens)
        # Only a complete listing rules out that a job is alive; the backend opens when there is one.
        while isinstance(answer := await queue.system.query(list(arrays)), Unanswered) or answer.unparsed:
            why = answer.why if isinstance(answer, Unanswered) else "some lines of its answer cannot be parsed"
            message = "backend %r waits for %s, which may have its jobs: %s"
            logger.warning(message, queue.backend, queue.system.name, why)
            queue.pace.failed()
            await trio.sleep(queue.pace.pause)
        queue.pace.answered(0, changed=True)
        for members in found.values():
            for token, job_id, _ in members:
                self._found.setdefault(job_id, []).append(token)
        tokens = [token for tokens in arrays.values() for token in tokens]
        records = await self._until_descriptors_are_free(store.read_all_records, tokens)
        self._files.is_shared = bool(records)
        present = {*reactor.arrays.read(answer.rows), *records}
        unrecorded = [token for token in present if token not in records]
        self._revoked = await self._until_descriptors_are_free(store.revoked, unrecorded)
        others = [token for token in tokens if token not in present]
        begun = await self._until_descriptors_are_free(store.claimed, others)
        reactor.find(arrays, present, begun, trio.current_time())
        message = "backend %r found %d jobs of a previous incarnation of this run"
        logger.info(message, queue.backend, len(present))

    async def _until_descriptors_are_free(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function of the store in a thread; repeat it while it fails for lack of descriptors."""
        waited = False
        while True:
            try:
                return await self._files.run(function, *args)
            except OSError as exc:
                if not is_out_of_resources(exc):
                    raise
                if not waited:
                    message = "backend %r waits for descriptors to look for earlier jobs: %s"
                    logger.warning(message, self._queue.backend, exc)
                waited = True
            await trio.sleep(self._queue.pace.pause)

    async def adopt(self, jobs: Sequence[LiveJob]) -> Sequence[LiveJob]:
        """Adopt jobs that a previous incarnation submitted; end earlier attempts at the others, and return these."""
        if not self._found:
            return jobs
        elements = self._reactor.elements
        tokens = {live.id: job_token(self._control.run_token, live.id, live.attempt) for live in jobs}
        if any(self._reactor.state_of(token) is ABSENT for token in tokens.values()):
            await self._schedule.next_answer()  # they may have been accepted since
        others: list[LiveJob] = []
        for live in jobs:
            token = tokens[live.id]
            if self._reactor.state_of(token) is ADOPTABLE and token not in self._revoked:
                await self._adopt_one(live, elements[token])
            else:
                others.append(live)
        earlier = {
            live.id: [token for token in self._found.get(live.id, ()) if self._reactor.state_of(token) is ADOPTABLE]
            for live in others
        }
        await self._end([elements[token] for some in earlier.values() for token in some])
        for live in others:
            if any(map(self._is_stray, earlier[live.id])):
                message = "an earlier attempt at it did not end when it was cancelled"
                self._control.fail(live, FailureKind.LOST, message)
        return [live for live in others if live.stage is not DONE]

    async def _adopt_one(self, live: LiveJob, element: Element) -> None:
        # ADOPTABLE until the threads have returned: an element that is in no table is a stray, and is cancelled.
        store = self._files.store
        live.paths = job_paths(live.spec, store.run_dir)
        paths = await self._files.run(store.job_files.locate, live.paths)
        try:
            soft = await self._files.run(store.job_files.soft_step, live.spec, paths)
        except OSError as exc:
            message = "backend %r: job %r is adopted without a soft step: %s"
            logger.warning(message, self._queue.backend, live.id, exc)
            soft = None
        try:
            request = self._queue.system.request(live.spec)
        except ValueError:  # options have changed since it was submitted
            request = None
        self._reactor.adopt(element)
        job = BatchJob(live, element, paths, soft, request, LaunchProgress(live.attempt))
        live.data = job
        self._tracker.follow(job)
        self._schedule.ask()

    async def _end(self, superseded: Sequence[Element]) -> None:
        """Make strays of elements, so that they are cancelled, and wait until they have left the queue."""
        await self._files.revoke([element.token for element in superseded])  # before they are cancelled
        for element in superseded:
            self._reactor.abandon(element)
        with trio.move_on_after(self._kill_timeout):
            for _ in range(2 if superseded else 0):  # one listing may miss a job on its way to a node
                await self._schedule.next_answer()
            while any(self._is_stray(element.token) for element in superseded):
                await self._schedule.next_answer()

    def _is_stray(self, token: str) -> bool:
        return self._reactor.state_of(token) is STRAY
