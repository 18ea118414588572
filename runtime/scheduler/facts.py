"""Facts: what a plan is told. Each has happened when the plan hears of it.

Events of backends are facts as they are, in the batches in which they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from runtime.job import EventBatch, JobCompletionEvent, JobHandle
from runtime.job.protocol import Job
from runtime.scheduler.actions import NO_ATTEMPTS
from runtime.scheduler.resources import Capacity


@attrs.frozen
class JobsAdded:
    """There are more jobs. The next `Plan.decide` looks at them."""

    jobs: Sequence[Job]


@attrs.frozen
class JobsKept:
    """An earlier process has run these jobs, and they passed; they are not run again. Before the first `decide`."""

    events: Sequence[JobCompletionEvent]
    earlier: Sequence[JobCompletionEvent] = ()
    """Of attempts at jobs that the earlier process was to try again, and that are run; in the order of the attempts."""


@attrs.frozen
class Submitted:
    """A backend answered a submission: it accepted some jobs, and refused the others because it is busy."""

    backend: str
    jobs: Sequence[Job]
    """The jobs of the submission; some may have completed since."""
    accepted: Mapping[str, JobHandle]
    """Id to handle, for each job that the backend accepted."""
    busy_because: str = ""
    """Why it refused some, if it did and the reason is known."""
    attempts: Mapping[str, int] = NO_ATTEMPTS
    """As in `Submit`. By now a newer attempt at a job may have begun."""


@attrs.frozen
class SubmissionFailed:
    """A submission raised. The completions of those of its jobs that were launched all the same have come before."""

    backend: str
    jobs: Sequence[Job]
    message: str
    """Why, for the reasons of the jobs."""
    attempts: Mapping[str, int] = NO_ATTEMPTS
    """As in `Submitted`."""


@attrs.frozen
class Withdrawn:
    """Jobs were killed before they were submitted, and will not be."""

    backend: str
    jobs: Sequence[Job]


@attrs.frozen
class BackendEnded:
    """A backend's block has ended: no more events come from it."""

    backend: str
    message: str
    """Why, for the reasons of the jobs that it still had."""


@attrs.frozen
class CapacityChanged:
    """The limit of a resource that has a provider is now another one."""

    resource: str
    capacity: Capacity


@attrs.frozen
class KillRequested:
    """Somebody wants these jobs to be killed."""

    ids: Sequence[str]
    by: str
    """Who, for the reasons of the jobs."""
    force: bool = False
    """Skip soft stop and SIGTERM."""


@attrs.frozen
class StopRequested:
    """Somebody wants the run to be stopped: no more jobs start. Jobs in flight are killed."""

    by: str
    """Who, for the reasons of the jobs."""
    force: bool = False
    """Skip soft stop and SIGTERM."""
    drain: bool = False
    """Let jobs in flight end by themselves."""


@attrs.frozen
class PauseRequested:
    """Somebody wants launching to pause, or to go on. Jobs in flight are not affected."""

    by: str
    """Who, for people."""
    paused: bool = True
    """`False` if launching is to go on."""


@attrs.frozen
class LimitRequested:
    """Somebody wants this limit of a resource until the end of the run, instead of what its provider tells."""

    resource: str
    limit: int | None
    """`None` for unlimited."""
    by: str
    """Who, for people."""


@attrs.frozen
class RunEnded:
    """The run is over, whatever happened: jobs that have not ended end now."""

    message: str
    """Why, for their reasons."""


Request = KillRequested | StopRequested | PauseRequested | LimitRequested
"""What somebody asks a run for."""

Fact = (
    EventBatch
    | JobsAdded
    | JobsKept
    | Submitted
    | SubmissionFailed
    | Withdrawn
    | BackendEnded
    | CapacityChanged
    | Request
    | RunEnded
)
