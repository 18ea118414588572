"""What is said about a job: the facts that travel from a backend to whoever listens.

All are immutable values. Times are seconds of one monotonic clock, `trio.current_time()`.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runtime.job.status import KILLED, FailureKind, JobStatus


@attrs.frozen
class JobStatusInfo:
    """Why a job is in its status, for a person and for a machine."""

    message: str
    """What happened, in one sentence."""
    lines: Sequence[int | tuple[int, int]] | None = None
    """Where in the log, counted from 1: a number is a line that failed, a ``(first, last)`` pair lines that `context`
    shows, in the same order."""
    context: Sequence[str] | None = None
    """Lines of text that help to understand: those around the one that failed, or the end of the log, or both."""
    kind: FailureKind | None = None
    """The class of the failure; `None` where a legacy launcher gave none."""


@attrs.frozen
class JobUsage:
    """What a job used, and what its tool says of itself. What is not known is `None`."""

    cpu_seconds: float | None = None
    """User and system time of the whole job, seconds."""
    peak_bytes: int | None = None
    """The largest resident set of any of its processes, bytes."""
    exit_code: int | None = None
    """The exit code, when it exited."""
    signal: int | None = None
    """The number of the signal that ended it, when one did."""
    job_runtime: float | None = None
    """The run time that the tool itself reports, seconds."""
    simulated_time: float | None = None
    """The simulated time that the tool itself reports, seconds."""
    left_behind: Sequence[str] | None = None
    """Processes that still ran a while after it had ended by itself, and were killed: names and pids. `None` if there
    were none, or nobody looked."""


@attrs.frozen(weakref_slot=False)
class JobHandle:
    """The receipt for an accepted job; `RuntimeBackend.kill` takes it."""

    job_id: str
    """The job's `id`."""
    attempt: int
    """Which attempt at the job this is, from 1."""
    started: float | None = None
    """When it began to run, in seconds, if it ran as soon as it was accepted."""
    backend: object = attrs.field(default=None, repr=False)
    """The backend that gave the handle, and the only one that takes it."""
    ticket: int = attrs.field(default=0, repr=False)
    """Which of all submissions to that backend it stands for, so that it never means a later one of the same job."""


@attrs.frozen
class JobProgressEvent:
    """A job moved between the queue and a machine. Informative; always before the job's completion."""

    job_id: str
    attempt: int
    status: JobStatus
    """QUEUED or RUNNING."""
    at: float
    """When, in seconds."""
    note: str | None = None
    """Where it runs; or, in the queue's own words, why it waits."""


@attrs.frozen(weakref_slot=False)
class JobCompletionEvent:
    """A job ended. Exactly one comes for each accepted job."""

    job_id: str
    attempt: int
    status: JobStatus
    """PASSED, FAILED or KILLED."""
    reason: JobStatusInfo | None
    """Why it did not pass; `None` if it passed."""
    submitted: float
    """When it was handed to the backend, in seconds."""
    started: float | None
    """When it began to run, in seconds; `None` if it never did."""
    ended: float
    """When it ended, in seconds."""
    usage: JobUsage | None = None

    @property
    def never_ran(self) -> bool:
        """Whether the job ended before it began to run: a job that it needs did not pass, it could not be started, or
        somebody ended it in time. Of a job that is *lost* that is not known.
        """
        if self.status is not KILLED or self.started is not None:
            return False
        return self.reason is None or self.reason.kind is not FailureKind.LOST


EventBatch = tuple[JobProgressEvent | JobCompletionEvent, ...]
"""What travels over a completion channel: a non-empty tuple of events, in the order in which they happened."""


@attrs.frozen(eq=False, weakref_slot=False)
class JobResult:
    """What became of one job of a run: the job, and the facts of its last event."""

    job: object
    """The specification, as it was given."""
    event: JobCompletionEvent
    """The last event of its last attempt."""

    @property
    def id(self) -> str:
        """The job's `id`."""
        return self.event.job_id

    @property
    def attempt(self) -> int:
        """Which attempt this is the end of, from 1; 0 if the job was never handed to a backend."""
        return self.event.attempt

    @property
    def status(self) -> JobStatus:
        """PASSED, FAILED or KILLED."""
        return self.event.status

    @property
    def never_ran(self) -> bool:
        """Whether it is KILLED and never began to run; see `JobCompletionEvent`."""
        return self.event.never_ran

    @property
    def reason(self) -> JobStatusInfo | None:
        """Why it did not pass; `None` if it passed."""
        return self.event.reason

    @property
    def submitted(self) -> float | None:
        """When it was handed to a backend, in seconds; `None` if it never was."""
        return self.event.submitted if self.event.attempt else None

    @property
    def started(self) -> float | None:
        """When it began to run, in seconds; `None` if it never did."""
        return self.event.started

    @property
    def ended(self) -> float:
        """When it ended, in seconds."""
        return self.event.ended

    @property
    def usage(self) -> JobUsage | None:
        """What it used, if that is known."""
        return self.event.usage
