"""`Queue`: the queue of a batch system as the members of a backend share it: the system, its limits, and its pace."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from runtime.backend.batch.pace import Pace
from runtime.backend.batch.system import Limits, System, Unanswered

logger: Final = logging.getLogger("runtime.backend.batch")

DEFAULT_LIMITS: Final = Limits("unknown", 1000, accounting=False)
"""The limits of a system that has not answered yet."""


class Queue:
    """The queue of a batch system.

    Args:
        system: the batch system.
        pace: when the queue may be asked.
        backend: the name of the backend, for messages.
    """

    def __init__(self, system: System, pace: Pace, backend: str) -> None:
        self.system = system
        self.pace = pace
        self.backend = backend
        self.limits: Limits = DEFAULT_LIMITS

    async def probe(self) -> None:
        """Ask for the limits, unless they are known."""
        if self.limits is not DEFAULT_LIMITS:
            return
        answer = await self.system.probe()
        if isinstance(answer, Unanswered):
            self.note_no_answer(answer.why)
        else:
            self.limits = answer
            accounting = "available" if answer.accounting else "not available"
            message = "backend %r: %s %s, arrays of up to %d jobs, accounting is %s"
            logger.info(message, self.backend, self.system.name, answer.version, answer.max_array, accounting)

    def note_no_answer(self, why: str) -> None:
        """Record that the system did not answer."""
        self.pace.failed()
        logger.warning("backend %r: %s does not answer: %s", self.backend, self.system.name, why)

    async def cancel(self, elements: Iterable[tuple[str, int]], signal: int | None = None) -> None:
        """Cancel elements, or send a signal to all processes of each.

        Args:
            elements: id of the array, and index, of each.
            signal: the number of the signal; `None`: cancel.
        """
        targets: dict[str, list[int]] = {}
        for array, index in elements:
            targets.setdefault(array, []).append(index)
        if targets:
            answer = await self.system.cancel(targets, signal)
            if isinstance(answer, Unanswered):
                logger.warning("backend %r: a cancel failed and will be repeated: %s", self.backend, answer.why)
