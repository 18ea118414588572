"""What a backend reports about a job: its completion, its progress, and the values in them.

All are immutable. Times are seconds of one monotonic clock, `trio.current_time()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from runtime.job.kinds import Kind
from runtime.job.status import KILLED, PASSED, FailureClass, FailureKind, JobStatus

_JobT_co = TypeVar("_JobT_co", covariant=True)


@attrs.frozen
class JobStatusInfo:
    """Why a job has its status: a message for people, and a kind for programs."""

    message: str
    """What happened, in one sentence."""
    lines: Sequence[int | tuple[int, int]] | None = None
    """Line numbers in the log, from 1. First come single numbers: of the line that explains the failure, and of the one
    that failed. A pair ``(first, last)`` is a range of lines that `context` shows, in the same order."""
    context: Sequence[str] | None = None
    """Lines of the log that explain the failure: those around the one that failed, the last ones, or both."""
    kind: Kind | None = None
    """The kind of the failure; `None` where a legacy launcher gave none."""
    cause: Kind | None = None
    """Of a job that did not run because another one did not pass: the kind of the failure that was at the beginning of
    the chain; `None` if that had none, and for all other failures."""
    known: str | None = None
    """The name of the known failure that this is, or is a consequence of; see `Scheduler`."""

    @property
    def failure_class(self) -> FailureClass:
        """Who has to look at it. A dependency counts as its cause; a failure without a kind is one of the design."""
        kind = self.cause if self.kind is FailureKind.DEPENDENCY else self.kind
        return FailureClass.DESIGN if kind is None else kind.failure_class


@attrs.frozen
class JobUsage:
    """What a job used, and what its tool reports about itself. What is not known is `None`."""

    cpu_seconds: float | None = None
    """User and system time of the whole job, seconds."""
    peak_bytes: int | None = None
    """The largest resident set of any of its processes, bytes."""
    exit_code: int | None = None
    """The exit code, if it exited."""
    signal: int | None = None
    """The number of the signal that ended it, if one did."""
    job_runtime: float | None = None
    """The run time that the tool itself reports, seconds."""
    simulated_time: float | None = None
    """The simulated time that the tool itself reports, seconds."""
    left_behind: Sequence[str] | None = None
    """Names and pids of processes that still ran a while after the job had ended by itself, and were killed. `None` if
    there were none, or if the backend does not look for them."""


@attrs.frozen(weakref_slot=False)
class JobPaths:
    """Where the files of a job are. Absolute paths, unless a launcher was given others."""

    odir: str
    """Its output directory."""
    log: str
    """Its log."""
    cwd: str
    """The directory that it runs in."""


@attrs.frozen(weakref_slot=False)
class JobHandle:
    """The receipt for an accepted job; `RuntimeBackend.kill` takes it."""

    job_id: str
    """The job's `id`."""
    attempt: int
    """Which attempt at the job this is, from 1."""
    started: float | None = None
    """When it began to run, in seconds, if it began as it was accepted; else `None`."""
    backend: object = attrs.field(default=None, repr=False)
    """The backend that made the handle, and the only one that accepts it."""
    ticket: int = attrs.field(default=0, repr=False)
    """The number of the submission to that backend, so that the handle never stands for a later one of the same job."""


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
    """Where it runs; or why it waits, in the words of the batch system."""


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
    """When it was submitted to the backend, in seconds."""
    started: float | None
    """When it began to run, in seconds; `None` if it never did."""
    ended: float
    """When it ended, in seconds."""
    usage: JobUsage | None = None
    paths: JobPaths | None = None
    """Where its files are, or would be; `None` if its backend does not tell, or did not begin to launch it."""
    earlier: Sequence[JobCompletionEvent] = ()
    """The completions of the attempts in this run that did not pass and were followed by another one, in their order,
    with the paths that their files have now. The scheduler adds them; none of them has any itself."""

    @property
    def is_flaky(self) -> bool:
        """Whether it passed after a failure of its own; with ``flaky="fail"``, it has then failed for that."""
        if self.status is not PASSED and (self.reason is None or self.reason.kind is not FailureKind.FLAKY):
            return False
        return any(each.kind is None or not each.kind.is_infrastructure for each in self.earlier)

    @property
    def kind(self) -> Kind | None:
        """The kind of failure, if it has one."""
        return None if self.reason is None else self.reason.kind

    @property
    def failure_class(self) -> FailureClass | None:
        """Who has to look at its failure; `None` if it passed."""
        if self.status is PASSED:
            return None
        return FailureClass.DESIGN if self.reason is None else self.reason.failure_class

    @property
    def known(self) -> str | None:
        """The name of the known failure that its failure is; see `JobStatusInfo`."""
        return None if self.reason is None else self.reason.known

    @property
    def odir(self) -> str | None:
        """Its output directory, if that is known."""
        return None if self.paths is None else self.paths.odir

    @property
    def log_path(self) -> str | None:
        """The path of its log, if that is known."""
        return None if self.paths is None else self.paths.log

    @property
    def never_ran(self) -> bool:
        """Whether the job ended before it began to run: a job that it needs did not pass, it could not be started, or
        it was cancelled in time. False for a job that is *lost*, of which that is not known.
        """
        if self.status is not KILLED or self.started is not None:
            return False
        return self.reason is None or self.reason.kind is not FailureKind.LOST


EventBatch = tuple[JobProgressEvent | JobCompletionEvent, ...]
"""One item of a completion channel: a non-empty tuple of events, in the order in which they happened."""


@attrs.frozen(eq=False, weakref_slot=False)
class JobResult(Generic[_JobT_co]):
    """The result of one job of a run: the job, and its last event."""

    job: _JobT_co
    """The specification, as it was given."""
    event: JobCompletionEvent
    """The last event of its last attempt."""

    @property
    def id(self) -> str:
        """The job's `id`."""
        return self.event.job_id

    @property
    def attempt(self) -> int:
        """The number of its last attempt, from 1; 0 if the job was never submitted to a backend."""
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
    def is_flaky(self) -> bool:
        """Whether it passed after a failure of its own; see `JobCompletionEvent`."""
        return self.event.is_flaky

    @property
    def earlier(self) -> Sequence[JobCompletionEvent]:
        """The completions of the attempts that did not pass and were tried again; see `JobCompletionEvent`."""
        return self.event.earlier

    @property
    def reason(self) -> JobStatusInfo | None:
        """Why it did not pass; `None` if it passed."""
        return self.event.reason

    @property
    def failure_class(self) -> FailureClass | None:
        """Who has to look at its failure; `None` if it passed."""
        return self.event.failure_class

    @property
    def known(self) -> str | None:
        """The name of the known failure that its failure is; see `JobStatusInfo`."""
        return self.event.known

    @property
    def submitted(self) -> float | None:
        """When it was submitted to a backend, in seconds; `None` if it never was."""
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

    @property
    def odir(self) -> str | None:
        """Its output directory; `None` if its backend does not tell, or did not begin to launch it."""
        return self.event.odir

    @property
    def log_path(self) -> str | None:
        """The path of its log; `None` if its backend does not tell, or did not begin to launch it."""
        return self.event.log_path
