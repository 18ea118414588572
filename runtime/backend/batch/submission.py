"""`Submission`: what follows from the answers to the submission of one array, until it is known. Pure.

A doubtful answer is followed by a search: the queue is asked for the name of the array until a listing has it, or two
do not. Then the array is submitted once more, under the same name: should both be accepted, the claims let each job run
once.
"""

from __future__ import annotations

import math

from runtime.backend.batch.array_index import ArrayEntry
from runtime.backend.batch.reactor import DOUBT_TIMEOUT
from runtime.backend.batch.system import Accepted, Doubtful, QueueFull, Refused, SubmitAnswer, Unanswered

Outcome = Accepted | QueueFull | Refused | Unanswered
"""What is known in the end."""


class Submission:
    """The submission of one array.

    Args:
        entry: the array in the table of all arrays.
    """

    def __init__(self, entry: ArrayEntry) -> None:
        self._entry = entry
        self._doubt = Doubtful("")
        self._is_second = False

    def on_answer(self, answer: SubmitAnswer) -> Outcome | None:
        """Return the outcome after an answer of the system; `None`: search the queue for the array."""
        if not isinstance(answer, Doubtful):
            return answer
        self._doubt = answer
        self._entry.doubtful_until = math.inf  # so that the queue is asked for its name
        return None

    def on_search(self, now: float) -> Outcome | None:
        """Return the outcome after a search; `None`: submit the array again."""
        self._entry.doubtful_until = now + DOUBT_TIMEOUT
        if self._entry.ids:
            return Accepted(min(self._entry.ids))
        if self._doubt.busy:
            return QueueFull(self._doubt.why)
        if self._is_second:
            return Unanswered(self._doubt.why)
        self._is_second = True
        return None
