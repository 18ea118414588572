"""`Canceller`: takes the steps of stops that are due, for all elements at once.

A cancel can meet a node while that starts the element: the system says that the element runs as soon as it has a node.
Slurm's daemon there finds no process to end and says so, the element counts as cancelled, and then its script begins
all the same; nobody ends it, for many minutes. So a job is *revoked* before its element is cancelled: the backend
makes the claim that the script would make (see `Store.revoke`). What has a claim before that has a script which runs,
and that gets the signals of the cancel. What has none never begins.
"""

from __future__ import annotations

import logging
from typing import Final

import trio

from runtime.backend.batch.array_index import Observation
from runtime.backend.batch.files import Files
from runtime.backend.batch.job_tracker import JobTracker
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.reactor import Reactor
from runtime.backend.batch.system import Unanswered
from runtime.backend.contract.control import Control
from runtime.job.shorten import shorten
from runtime.process.trees import make_stop_file

logger: Final = logging.getLogger("runtime.backend.batch")

_TEARDOWN_TIMEOUT: Final = 20.0
"""Seconds in which the last elements must leave the queue while the backend closes. Arbitrary: with a tenth, two
listings do not fit; with ten times as many, Ctrl-C hangs for minutes while the controller is away."""


class Canceller:
    """Ends elements.

    Args:
        control: runs tasks.
        queue: the queue.
        files: the files of the run.
        reactor: the elements that may be in the queue.
        tracker: knows the soft steps of jobs.
    """

    def __init__(self, control: Control, queue: Queue, files: Files, reactor: Reactor, tracker: JobTracker) -> None:
        self._control = control
        self._queue = queue
        self._files = files
        self._reactor = reactor
        self._tracker = tracker

    async def cancel_due(self) -> None:
        """Take the steps of stops that are due. Called by the task that queries: so what is cancelled was listed."""
        # Before any cancel, in one call for all; also while the system does not answer, as it may still start elements.
        unrevoked = self._reactor.take_unrevoked()
        await self._files.revoke(
            [each.token for each in unrevoked], {each.token for each in unrevoked if each.is_restarted}
        )
        if self._queue.pace.is_open:
            return
        steps = self._reactor.due_stop_steps(trio.current_time())
        signals: dict[int, list[tuple[str, int]]] = {}
        for element in steps.soft:
            step = self._tracker.job_of(element).soft
            assert step is not None
            if isinstance(step.what, int):
                signals.setdefault(step.what, []).extend(element.alive())
            else:
                # In a task of its own: the job's file system may not answer, and this loop is for all jobs.
                self._control.start_task(self._files.run, make_stop_file, step.what)
        for number, elements in signals.items():
            await self._queue.cancel(elements, number)
        await self._queue.cancel(steps.cancels)

    async def cancel_rest(self) -> None:
        """Cancel what is left in the queue: strays, and jobs of a previous incarnation that were not adopted."""
        self._reactor.forget_arrays(trio.current_time())
        names = self._reactor.arrays.names()
        living: dict[str, Observation] = {}
        revoked: set[str] = set()
        absences = 0
        with trio.move_on_after(_TEARDOWN_TIMEOUT):
            while names:
                answer = await self._queue.system.query(names)
                if not isinstance(answer, Unanswered):
                    seen = self._reactor.arrays.read(answer.rows)
                    living = {token: observation for token, observation in seen.items() if observation.alive}
                    # Twice: one listing may miss an element that is on its way from the queue to a node.
                    absences = 0 if living else absences + 1
                    if absences > 1:
                        return
                    restarted = {token for token, observation in living.items() if observation.row.restarts}
                    await self._files.revoke(living.keys() - revoked, restarted)
                    revoked |= living.keys()
                    await self._queue.cancel(each for observation in living.values() for each in observation.alive)
                await trio.sleep(self._queue.pace.pause)
        if living:
            name = self._queue.system.element_id
            some = ", ".join(name(array, index) for each in living.values() for array, index in each.alive[:1])
            logger.warning("backend %r leaves in the queue: %s", self._queue.backend, shorten(some, 500))
