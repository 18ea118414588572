"""`CancellingSide`: jobs are cancelled in batches, after their soft steps, and again until they are gone."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Final

import trio

from runtime.backend.batch.array_index import Observation
from runtime.backend.batch.element import Element
from runtime.backend.batch.polling import PollingSide
from runtime.backend.batch.system import (
    Unanswered,
)
from runtime.backend.contract.live import LiveJob
from runtime.job import JobStatus
from runtime.job.shorten import shorten
from runtime.process.trees import make_stop_file

logger: Final = logging.getLogger("runtime.backend.batch")

CANCEL_INTERVAL: Final = 10.0
"""Seconds after which an element that is still alive is cancelled again. Arbitrary: with a tenth, a busy controller
gets a cancel for each tick; with ten times as many, `kill_timeout` leaves time for one retry only."""

_TEARDOWN_TIMEOUT: Final = 20.0
"""Seconds in which the last elements must leave the queue while the backend closes. Arbitrary: with a tenth, two
listings do not fit; with ten times as many, Ctrl-C hangs for minutes while the controller is away."""


class CancellingSide(PollingSide):
    """Cancels jobs, until they are gone."""

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Let the next cancel be for `jobs`, too."""
        for job in jobs:
            element: Element = job.data
            element.killed = True
            if element.concluding:  # it has ended; only its verdict, or a hook, may still take long
                element.scope.deadline = min(element.scope.deadline, trio.current_time() + self._visibility_timeout)
        self._pace.hurry()
        # With an open circuit the query stays where it is: a kill must not load a controller that does not answer.
        if not self._pace.is_open:
            self._due = min(self._due, trio.current_time() + self._pace.pause)
        self._urgent.set()

    def force(self, jobs: Sequence[LiveJob]) -> None:
        """Let the next cancel come at once."""
        self._urgent.set()

    def has_ended(self, job: LiveJob) -> bool:
        """Whether only the verdict is missing: finding that has no time limit."""
        return job.data is not None and job.data.concluding

    async def _cancel_what_is_due(self) -> None:
        """Take the soft steps and send the cancels that are due."""
        self._urgent = trio.Event()
        if self._pace.is_open:
            return
        now = trio.current_time()
        soft: dict[int, list[tuple[str, int]]] = {}
        hard: list[tuple[str, int]] = []
        for element in self._elements.values():
            if not element.killed or element.concluding or not (alive := element.alive_elements()):
                continue
            if self._begins_softly(element, now):
                assert element.soft is not None
                what = element.soft.what
                if isinstance(what, int):
                    soft.setdefault(what, []).extend(alive)
                else:  # in a task of its own: the job's file system may not answer, and this loop is for all jobs
                    self.control.start_task(self._in_thread, make_stop_file, what)
            elif self._is_cancel_due(element, now):
                element.cancelled_at = now
                hard.extend(alive)
        for token, observation in self._stray_observations.items():
            if now - self._strays.get(token, -math.inf) >= CANCEL_INTERVAL:
                self._strays[token] = now
                hard.extend(observation.alive)
        for number, elements in soft.items():
            await self._cancel(elements, number)
        if hard:
            await self._cancel(hard, None)

    def _begins_softly(self, element: Element, now: float) -> bool:
        """Begin the soft step of an element, if it has one and has not begun it; return whether it begins now."""
        step = element.soft
        if step is None or element.soft_until is not None or element.job.forced:
            return False
        if element.history.status is not JobStatus.RUNNING:
            return False  # no process of it runs that could take the step
        element.soft_until = math.inf if step.seconds is None else now + step.seconds
        return True

    def _is_cancel_due(self, element: Element, now: float) -> bool:
        if element.soft_until is not None and now < element.soft_until and not element.job.forced:
            return False
        return element.cancelled_at is None or now - element.cancelled_at >= CANCEL_INTERVAL

    async def _cancel(self, elements: Iterable[tuple[str, int]], signal: int | None) -> None:
        targets: dict[str, list[int]] = {}
        for array, index in elements:
            targets.setdefault(array, []).append(index)
        answer = await self._system.cancel(targets, signal)
        if isinstance(answer, Unanswered):
            logger.warning("backend %r: a cancel failed and will be repeated: %s", self.control.name, answer.why)

    async def teardown(self) -> None:
        """Cancel what is left in the queue: strays, and jobs of a previous incarnation that were not adopted."""
        self._array_index.keep({*self._elements, *self._unattended()}, trio.current_time())
        names = self._array_index.names()
        living: dict[str, Observation] = {}
        absences = 0
        with trio.move_on_after(_TEARDOWN_TIMEOUT):
            while names:
                answer = await self._system.query(names)
                if not isinstance(answer, Unanswered):
                    seen = self._array_index.read(answer.rows)
                    living = {token: observation for token, observation in seen.items() if observation.alive}
                    # Twice: one listing may miss an element that is on its way from the queue to a node.
                    absences = 0 if living else absences + 1
                    if absences > 1:
                        return
                    await self._cancel([each for observation in living.values() for each in observation.alive], None)
                await trio.sleep(self._pace.pause)
        if living:
            some = ", ".join(f"{array}_{index}" for each in living.values() for array, index in each.alive[:1])
            logger.warning("backend %r leaves in the queue: %s", self.control.name, shorten(some, 500))
