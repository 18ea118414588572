"""`Element`: a job on its way to, in, or from the queue; and how far its launch has come."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from runtime.backend.batch.array_index import Observation
from runtime.backend.batch.store import Member
from runtime.backend.batch.system import (
    Phase,
    Row,
    State,
)
from runtime.backend.batch.transitions import ElementHistory
from runtime.backend.job_paths import RootedJobPaths
from runtime.backend.live import LiveJob
from runtime.process import SoftStep


@attrs.define(eq=False)
class LaunchProgress:
    """How far the launch of an attempt has come; kept while it is refused, so that nothing is done twice."""

    attempt: int
    renewed: bool = False
    hooked: bool = False


@attrs.define(eq=False)
class Element:
    """A job that is to be, or is, in the queue."""

    job: LiveJob
    token: str
    paths: RootedJobPaths
    soft: SoftStep | None
    progress: LaunchProgress
    history: ElementHistory = attrs.field(factory=ElementHistory)
    sent: bool = False
    """Whether its array was handed over, and so may be in the queue."""
    name: str = ""
    """The name of its array, once that was written."""
    array: str = ""
    """The id of its array, once that was accepted."""
    index: int = 0
    observation: Observation | None = None
    """What the last answer said of it."""
    concluding: bool = False
    """Whether it has ended, and what follows is under way."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Around what follows its end."""
    killed: bool = False
    """Whether its end was asked for."""
    soft_until: float | None = None
    """When its soft step is over, in seconds, once it has begun."""
    cancelled_at: float | None = None
    """When the system was last asked to end it, in seconds."""

    @property
    def member(self) -> Member:
        """Itself, as the store wants it."""
        return Member(self.job.spec, self.job.attempt, self.token, self.paths)

    def alive_elements(self) -> list[tuple[str, int]]:
        """Return the elements of arrays that it is alive in, as far as is known."""
        if self.observation is None:
            return [(self.array, self.index)] if self.array else []
        return self.observation.alive


GONE: Final = Observation(Row("", "", None, State(Phase.ENDED), ""))
"""Of a job that the queue does not have."""
