"""`AdoptingSide`: jobs that a previous incarnation of this run left in the queue are found, and adopted or ended."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import trio

from runtime.backend.batch.base import DOUBT_TIMEOUT
from runtime.backend.batch.cancelling import CancellingSide
from runtime.backend.batch.element import GONE, Element, LaunchProgress
from runtime.backend.batch.system import (
    Unanswered,
)
from runtime.backend.batch.tokens import job_token, run_prefix
from runtime.backend.contract.live import LiveJob, Stage
from runtime.job import FailureKind
from runtime.process import is_out_of_resources

logger: Final = logging.getLogger("runtime.backend.batch")

T = TypeVar("T")


class AdoptingSide(CancellingSide):
    """Adopts the jobs of a previous incarnation of the same run."""

    async def _find_previous_incarnation(self) -> None:
        """Find the jobs of a previous incarnation in the queue and in the run directory.

        Waits until the queue answers, and until there are descriptors: a job that is overlooked would run twice.
        """
        arrays = await self._until_descriptors_are_free(self._store.arrays, run_prefix(self.control.run_token))
        if not arrays:
            return
        for name, members in arrays.items():
            self._array_index.put(name, [token for token, _, _ in members])
        # Only a complete listing rules out that a job is alive; the backend opens when there is one.
        while isinstance(answer := await self._system.query(self._array_index.names()), Unanswered) or answer.unparsed:
            why = answer.why if isinstance(answer, Unanswered) else "some lines of its answer cannot be parsed"
            logger.warning(
                "backend %r waits for %s, which may have its jobs: %s", self.control.name, self._system.name, why
            )
            self._pace.failed()
            await trio.sleep(self._pace.pause)
        self._pace.answered(0, changed=True)
        seen = self._array_index.read(answer.rows)
        jobs = {token: job_id for members in arrays.values() for token, job_id, _ in members}
        records = await self._until_descriptors_are_free(self._store.read_all_records, jobs)
        self._adoptable = {token: job_id for token, job_id in jobs.items() if token in seen or token in records}
        others = jobs.keys() - self._adoptable.keys()
        begun = await self._until_descriptors_are_free(self._store.claimed, others)
        # These began, and left neither a row nor a record: their claims are removed before they are submitted again.
        self._finished.update(begun)
        # These may have been submitted just before the kill, and a slow controller may still accept them.
        self._absent = {token: jobs[token] for token in others - begun}
        for name, members in arrays.items():
            if any(token in self._absent for token, _, _ in members):
                self._array_index.put(name, ()).doubtful_until = trio.current_time() + DOUBT_TIMEOUT
        self._shared = bool(records)
        logger.info(
            "backend %r found %d jobs of a previous incarnation of this run", self.control.name, len(self._adoptable)
        )

    async def _until_descriptors_are_free(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function of the store in a thread; repeat it while it fails for lack of descriptors."""
        waited = False
        while True:
            try:
                return await self._in_thread(function, *args)
            except OSError as exc:
                if not is_out_of_resources(exc):
                    raise
                if not waited:
                    logger.warning(
                        "backend %r waits for descriptors to look for earlier jobs: %s", self.control.name, exc
                    )
                waited = True
            await trio.sleep(self._pace.pause)

    async def _without_adopted(self, jobs: Sequence[LiveJob]) -> list[LiveJob]:
        """Adopt jobs that a previous incarnation submitted; end earlier attempts at the others, and return these."""
        if any(job_token(self.control.run_token, job.id, job.attempt) in self._absent for job in jobs):
            await self._next_answer()  # they may have been accepted since
        others: list[LiveJob] = []
        by_job: dict[str, list[str]] = {}
        for token, job_id in self._adoptable.items():
            by_job.setdefault(job_id, []).append(token)
        for job in jobs:
            token = job_token(self.control.run_token, job.id, job.attempt)
            if token in self._adoptable:
                await self._adopt(job, token)
            else:
                self._absent.pop(token, None)  # if it is accepted after all, the claim decides which copy runs
                others.append(job)
        superseded = {token for job in others for token in by_job.get(job.id, ())}
        for token in superseded:
            del self._adoptable[token]  # so the next listing makes it a stray, which is cancelled
        with trio.move_on_after(self._kill_timeout or math.inf):
            for _ in range(2 if superseded else 0):  # one listing may miss a job on its way to a node
                await self._next_answer()
            while any(token in self._stray_observations for token in superseded):
                await self._next_answer()
        for job in others:
            if any(token in self._stray_observations for token in by_job.get(job.id, ())):
                self.control.fail(job, FailureKind.LOST, "an earlier attempt at it did not end when it was cancelled")
        return [job for job in others if job.stage is not Stage.DONE]

    async def _adopt(self, job: LiveJob, token: str) -> None:
        paths = await self._in_thread(self._find_files, job)
        try:
            soft = await self._in_thread(self._soft_steps.of, job.spec, str(paths.odir), self._roots.resolve)
        except OSError as exc:
            logger.warning("backend %r: job %r is adopted without a soft step: %s", self.control.name, job.id, exc)
            soft = None
        self._extend_kill_deadline(soft)
        element = Element(job, token, paths, soft, LaunchProgress(job.attempt), sent=True)
        element.name, element.array, element.index = self._array_index.find(token)
        element.observation = GONE  # until a listing says more
        job.data = self._elements[token] = element
        # Not before: a job that is in neither table while we wait for the thread is a stray, and is cancelled.
        del self._adoptable[token]
        if not self.control.queued(job):
            self._make_stray(element)
        self._poll_requested.set()
