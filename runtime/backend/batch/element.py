"""`Element`: a job that is being submitted, is in the queue, or has left it; and how far its launch has got."""

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
from runtime.backend.contract.live import LiveJob
from runtime.backend.job_paths import RootedJobPaths
from runtime.process import SoftStep


@attrs.define(eq=False)
class LaunchProgress:
    """How far the launch of an attempt has got; kept while the queue is full, so that no step is repeated."""

    attempt: int
    renewed: bool = False
    """Whether old output directories have been rotated."""
    hooked: bool = False
    """Whether `pre_launch` has been called."""


@attrs.define(eq=False)
class Element:
    """A job that is, or will be, in the queue."""

    job: LiveJob
    token: str
    """Names its claim and its exit record: see `tokens`."""
    paths: RootedJobPaths
    soft: SoftStep | None
    progress: LaunchProgress
    history: ElementHistory = attrs.field(factory=ElementHistory)
    sent: bool = False
    """Whether its array is being, or has been, submitted: from then on it may be in the queue."""
    name: str = ""
    """The name of its array, once the array's files are written."""
    array: str = ""
    """The id of its array, once the array is accepted."""
    index: int = 0
    """Its index in the array."""
    observation: Observation | None = None
    """What the last listing said of it; `None` before the first."""
    concluding: bool = False
    """Whether it has ended, and its verdict is being found."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """The scope of its verdict and its `post_finish`; a kill gives it a deadline."""
    killed: bool = False
    """Whether it is to be stopped."""
    soft_until: float | None = None
    """When its soft step ends, in seconds; `None` before it begins."""
    cancelled_at: float | None = None
    """When the system was last asked to cancel it, in seconds."""

    @property
    def member(self) -> Member:
        """What the store writes down about it."""
        return Member(self.job.spec, self.job.attempt, self.token, self.paths)

    def alive_elements(self) -> list[tuple[str, int]]:
        """Return its elements that can be cancelled: id of the array, and index."""
        if self.observation is None:  # accepted since the last listing
            return [(self.array, self.index)] if self.array else []
        return self.observation.alive


GONE: Final = Observation(Row("", "", None, State(Phase.ENDED), ""))
"""The observation of a job that the queue does not have."""
