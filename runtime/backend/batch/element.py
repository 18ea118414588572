"""`Element`: what is known of one element of an array, in one state at a time; and how far its stop has come. Pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import attrs

from runtime.backend.batch.array_index import Observation
from runtime.backend.batch.transitions import ElementHistory
from runtime.job import JobStatus
from runtime.process.stop_sequence import SOFT, StopSequence

if TYPE_CHECKING:
    from runtime.process.stop_sequence import GentleStep

CANCEL_INTERVAL: Final = 10.0
"""Seconds after which an element that is still alive is cancelled again. Arbitrary: with a tenth, a busy controller
gets a cancel for each tick; with ten times as many, `kill_timeout` leaves time for one retry only."""


class ElementState(enum.Enum):
    """What an element is to the backend. The moves from one state to another are in `MOVES`."""

    PREPARED = "prepared"
    """The files of its job are ready. Nothing of it is in the queue."""
    SUBMITTING = "submitting"
    """Its array is being submitted: from now on it may be in the queue, and cannot be taken back."""
    SUBMITTED = "submitted"
    """Its array was accepted. It waits, runs, or has ended and that is not known yet."""
    FINISHING = "finishing"
    """It has ended, and its verdict is being found."""
    FINISHED = "finished"
    """Its job has completed, and nothing of it is alive. Only its token is remembered."""
    STRAY = "stray"
    """It may be alive, and nobody waits for its end: it is cancelled whenever a listing has it alive."""
    ABSENT = "absent"
    """A previous incarnation has written its files, and there is no other sign of it. It may still be accepted."""
    ADOPTABLE = "adoptable"
    """A previous incarnation has submitted it, and nobody has asked for its job yet."""


PREPARED: Final = ElementState.PREPARED
SUBMITTING: Final = ElementState.SUBMITTING
SUBMITTED: Final = ElementState.SUBMITTED
FINISHING: Final = ElementState.FINISHING
FINISHED: Final = ElementState.FINISHED
STRAY: Final = ElementState.STRAY
ABSENT: Final = ElementState.ABSENT
ADOPTABLE: Final = ElementState.ADOPTABLE

MOVES: Final[Mapping[ElementState, frozenset[ElementState]]] = {
    PREPARED: frozenset({SUBMITTING}),
    SUBMITTING: frozenset({PREPARED, SUBMITTED}),  # PREPARED: it was not accepted
    SUBMITTED: frozenset({FINISHING, STRAY}),  # STRAY: its job was given up at a deadline
    FINISHING: frozenset({FINISHED}),
    FINISHED: frozenset(),  # a job that is submitted again gets a new element
    STRAY: frozenset({FINISHED}),
    ABSENT: frozenset({ADOPTABLE}),
    ADOPTABLE: frozenset({SUBMITTED, STRAY}),  # SUBMITTED: adopted; STRAY: another attempt at its job begins
}
"""The states that may follow a state."""


class Stop:
    """The stop of an element: a soft step, a cancel, and cancels until it is gone.

    Args:
        soft_seconds: the most seconds of the soft step; 0: there is none.
    """

    def __init__(self, soft_seconds: float = 0.0) -> None:
        self._gentle: list[GentleStep] = [(SOFT, soft_seconds)] if soft_seconds else []
        # Without a limit, after which it is lost: the contract has one for all jobs.
        self._sequence = StopSequence(None, CANCEL_INTERVAL)

    def force(self) -> None:
        """Skip what is left of the soft step."""
        self._sequence.force()

    def take(self, now: float, status: JobStatus) -> str | None:
        """Return the step that is to be taken now, `SOFT` or `KILL`; `None`: none is due.

        Called when the element may be alive, and not before: only then is it known whether it runs.
        """
        # A job that waits has no process that could take the soft step. Does nothing after the first time.
        self._sequence.begin(self._gentle if status is JobStatus.RUNNING else [], None)
        return self._sequence.take(now)

    def next_step(self, now: float) -> float:
        """Return when the soft step ends and the cancel is due, in seconds; `math.inf` if that does not lie ahead."""
        # A cancel is repeated after a query, and needs no other reason to wake up.
        return now + self._sequence.seconds_left(now) if self._sequence.step == SOFT else math.inf


@attrs.define(eq=False)
class Element:
    """One element of an array, or one that will be."""

    token: str
    """Names its claim and its exit record: see `tokens`."""
    state: ElementState = PREPARED
    name: str = ""
    """The name of its array, once its submission begins."""
    array: str = ""
    """The id of its array, once that is known."""
    index: int = 0
    """Its index in the array."""
    history: ElementHistory = attrs.field(factory=ElementHistory)
    observation: Observation | None = None
    """What the last listing said of it; `None` before the first."""
    stop: Stop | None = None
    """Its stop; `None` if it is not being stopped."""
    revoked: bool = False
    """Whether its job was revoked, or that was tried: see `cancelling`."""

    def move(self, state: ElementState) -> None:
        """Set its state.

        Raises:
            ValueError: if `MOVES` does not have that move, which is a bug.
        """
        if state not in MOVES[self.state]:
            raise ValueError(f"element {self.token} cannot go from {self.state.name} to {state.name}")
        self.state = state

    @property
    def is_restarted(self) -> bool:
        """Whether the system has started it again, so that its claim may be of an earlier start."""
        return self.observation is not None and self.observation.row.restarts > 0

    def alive(self) -> list[tuple[str, int]]:
        """Return what can be cancelled of it: id of the array, and index, for each of its copies."""
        if self.observation is None:  # accepted since the last listing
            return [(self.array, self.index)] if self.array else []
        return self.observation.alive
