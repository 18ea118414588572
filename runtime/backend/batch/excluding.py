"""`Excluder`: keeps jobs away from bad nodes, those as well that wait in the queue already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from typing import Final

import trio

from runtime.backend.batch.bad_nodes import MOST_FAILURES, WINDOW, BadNodes
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.system import Unanswered
from runtime.backend.contract.control import Control

logger: Final = logging.getLogger("runtime.backend.batch")


class Excluder:
    """Notes what nodes do, and tells the queue which of them are excluded.

    Args:
        control: runs the task that tells it.
        queue: the queue.
        waiting: returns the arrays of which elements wait: from the id to what its jobs request.
    """

    def __init__(self, control: Control, queue: Queue, waiting: Callable[[], Mapping[str, Hashable]]) -> None:
        self._control = control
        self._queue = queue
        self._waiting = waiting
        self._nodes = BadNodes()
        self.note_begun: Final = self._nodes.note_begun
        """See `BadNodes.note_begun`."""

    @property
    def excluded(self) -> tuple[str, ...]:
        """The nodes that get no more jobs."""
        return self._nodes.excluded

    def note_failure(self, node: str, message: str, what: Hashable = None, why: str = "") -> None:
        """Take note of a failure of a node, or of a launch there; exclude the node, and say so, if it is one too many.

        Args:
            node: its name.
            message: what has happened, for people.
            what: as for `BadNodes.note_failure`.
            why: likewise.
        """
        if self._nodes.note_failure(node, trio.current_time(), what, why):
            times = f"{MOST_FAILURES} times within {WINDOW / 60:g} min"
            text = "backend %r: node %s is excluded for the rest of the run, as jobs failed there %s; last: %s"
            logger.warning(text, self._control.name, node, times, message)
            self._control.start_task(self._exclude_waiting)

    def note_accepted(self, excluded: tuple[str, ...]) -> None:
        """Take note that an array was accepted that was submitted when these nodes were excluded."""
        if excluded != self.excluded:  # one was excluded meanwhile
            self._control.start_task(self._exclude_waiting)

    async def _exclude_waiting(self) -> None:
        arrays = self._waiting()
        if arrays:
            answer = await self._queue.system.exclude(arrays, self.excluded)
            if isinstance(answer, Unanswered):
                text = "backend %r: jobs that wait in the queue may still run on excluded nodes: %s"
                logger.warning(text, self._control.name, answer.why)
