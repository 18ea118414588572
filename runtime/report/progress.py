"""`RunProgress`: what a display shows of a run in progress, built from its status changes. Pure."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from runtime.job import JobResult, JobStatus
from runtime.job.shorten import shorten
from runtime.report.buckets import headline, is_consequence, is_of_backend
from runtime.report.counts import count_pieces
from runtime.report.reported_job import ReportedJob
from runtime.report.summary import MAX_MESSAGE, Line, Piece
from runtime.report.text import printable, short_duration
from runtime.scheduler.statuses import StatusChange

MAX_RECENT: Final = 5
"""Recent failures that a live display shows. Arbitrary: ten times more, and they leave no rows for the running jobs;
with one, of several failures at once only the last is seen."""


@attrs.frozen
class RunSnapshot:
    """A frozen picture of a run, for a display in another thread."""

    title: str
    elapsed: float
    """Seconds since the run began."""
    counts: Mapping[JobStatus, int]
    """How many jobs have each status."""
    running: Sequence[tuple[str, float, str]]
    """The running jobs, oldest first: id, seconds since it began to run, and a note on where it runs."""
    recent: Sequence[JobResult[ReportedJob]]
    """The last failures, oldest first."""
    stopping: str = ""
    """What the user should know about the stop of the run; empty if it is not being stopped."""
    counted: Mapping[str, int] | None = None
    """How many jobs are counted as which of `runtime.job.counting`; `None` if only their statuses are known."""
    paused_by: str | None = None
    """Who paused launching; `None` while it goes on."""
    waiting: Sequence[tuple[str, float, str]] = ()
    """The jobs of which it is known why they wait, in the order in which that was known first: id, seconds since then,
    and the reason."""
    resources: Mapping[str, tuple[int, int | None]] = attrs.field(factory=dict)
    """Name to the amount that is held, and the limit; `None` for unlimited."""
    lacking: Sequence[str] = ()
    """The names of those that jobs wait for which could start otherwise."""

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """How many jobs have ended."""
        return sum(count for status, count in self.counts.items() if status.is_terminal)


class RunProgress:
    """Which jobs are running, and which have failed.

    Args:
        title: the name of the run.
        started: when the run began, in seconds on the clock of its status changes.
    """

    def __init__(self, title: str, started: float) -> None:
        self._title = title
        self._started = started
        self._running: dict[str, tuple[float, str]] = {}
        self._waiting: dict[str, tuple[float, str]] = {}
        self._recent: deque[JobResult[ReportedJob]] = deque(maxlen=MAX_RECENT)
        self._unreported: list[JobResult[ReportedJob]] = []
        self._retries: list[Line] = []
        self._backend_errors: set[str] = set()
        """The backends' errors that were reported. Each is the reason of all jobs of its backend."""
        self.stopping = ""
        """See `RunSnapshot.stopping`."""

    def begin(self, title: str, started: float) -> None:
        """Replace what was said at the beginning."""
        self._title, self._started = title, started

    def apply(self, change: StatusChange[ReportedJob]) -> None:
        """Record one status change."""
        job_id, event = change.id, change.event
        # A status may come again, with a new note: the job has had it since the first time.
        if change.new is JobStatus.RUNNING:
            since = self._running[job_id][0] if job_id in self._running else change.at
            self._running[job_id] = (since, change.note or "")
            self._waiting.pop(job_id, None)
            return
        self._running.pop(job_id, None)
        if change.new is JobStatus.QUEUED and change.note and event is None:
            since = self._waiting[job_id][0] if job_id in self._waiting else change.at
            self._waiting[job_id] = (since, change.note)
            return
        self._waiting.pop(job_id, None)
        if event is not None and not change.new.is_terminal:
            self._retries.append(retry_line(change))
        elif event is not None and event.status is not JobStatus.PASSED:
            result = JobResult(change.job, event)
            # There may be thousands of these, and they would hide the failure that caused them.
            if not (is_consequence(result) or self._was_reported(result)):
                self._unreported.append(result)
                self._recent.append(result)

    def _was_reported(self, result: JobResult[ReportedJob]) -> bool:
        """Whether a job never ran because its backend failed, with an error that was reported for another job."""
        if not is_of_backend(result):
            return False
        message = headline(result)
        was_reported = message in self._backend_errors
        self._backend_errors.add(message)
        return was_reported

    def started(self, job_id: str) -> float | None:
        """Return when a running job began to run, in seconds on the same clock; `None` if it is not running."""
        return self._running[job_id][0] if job_id in self._running else None

    def take_failures(self) -> list[JobResult[ReportedJob]]:
        """Return the failures since the last call."""
        taken, self._unreported = self._unreported, []
        return taken

    def take_retries(self) -> list[Line]:
        """Return a line for each failure, since the last call, after which a job is tried again."""
        taken, self._retries = self._retries, []
        return taken

    def snapshot(
        self,
        counts: Mapping[JobStatus, int],
        now: float,
        *,
        rows: int = 1000,
        paused_by: str | None = None,
        counted: Mapping[str, int] | None = None,
        resources: Mapping[str, tuple[int, int | None]] | None = None,
        lacking: Sequence[str] = (),
    ) -> RunSnapshot:
        """Return a snapshot.

        Args:
            counts: how many jobs have each status.
            now: the time, in seconds on the same clock.
            rows: how many of the running jobs it has at most, and of those that wait.
            paused_by: who paused launching, if anybody did.
            counted: see `RunSnapshot`.
            resources: likewise.
            lacking: likewise.
        """
        running = _rows(self._running, now, rows)
        waiting = _rows(self._waiting, now, rows)
        elapsed = now - self._started
        recent = tuple(self._recent)
        return RunSnapshot(
            self._title,
            elapsed,
            dict(counts),
            running,
            recent,
            self.stopping,
            counted,
            paused_by,
            waiting,
            resources or {},
            lacking,
        )


def _rows(jobs: Mapping[str, tuple[float, str]], now: float, rows: int) -> list[tuple[str, float, str]]:
    """Return the first `rows` jobs: id, seconds that have passed, and note."""
    return [(job_id, now - since, note) for job_id, (since, note) in itertools.islice(jobs.items(), rows)]


def retry_line(change: StatusChange[ReportedJob]) -> Line:
    """Return the line of a job that is tried again: why, and when."""
    reason = None if change.event is None else change.event.reason
    message = "" if reason is None else f"{shorten(printable(reason.message), MAX_MESSAGE)}; "
    return ("RETRY  ", "yellow"), (printable(change.id), "bold"), (f": {message}{change.note}", "")


def progress_line(snapshot: RunSnapshot) -> Line:
    """Return a snapshot as one line."""
    pieces: list[Piece] = [(f"[{short_duration(snapshot.elapsed)}] {snapshot.done}/{snapshot.total} done: ", "")]
    counted = snapshot.counted
    if counted is None:
        counted = {status.name.lower(): count for status, count in snapshot.counts.items()}
    pieces += [(f"{text}, ", style) for text, style in count_pieces(counted)]
    waiting = snapshot.counts.get(JobStatus.QUEUED, 0) + snapshot.counts.get(JobStatus.SCHEDULED, 0)
    pieces += [(f"{snapshot.counts.get(JobStatus.RUNNING, 0)} running, ", ""), (f"{waiting} waiting", "")]
    if snapshot.stopping:
        pieces.append((f" ({snapshot.stopping})", "yellow"))
    elif snapshot.paused_by is not None:
        pieces.append((f" (launching is paused by {printable(snapshot.paused_by)})", "yellow"))
    elif not snapshot.counts.get(JobStatus.RUNNING):
        # Nobody need be told that resources are scarce, but why nothing runs.
        limits = ((name, snapshot.resources[name][1]) for name in snapshot.lacking)
        pieces += [(f" (jobs wait for {_limit_text(*limit)})", "yellow") for limit in limits]
    return tuple(pieces)


def resources_line(snapshot: RunSnapshot) -> Line:
    """Return how much is held of each resource that has a limit; empty if none has one."""
    pieces: list[Piece] = []
    for name, (held, limit) in sorted(snapshot.resources.items()):
        if limit is not None:
            text = f"{printable(name)} {held} of {limit}"
            pieces += [(", " if pieces else "in use: ", "dim"), (text, "yellow" if name in snapshot.lacking else "dim")]
    return tuple(pieces)


def _limit_text(name: str, limit: int | None) -> str:
    return printable(name) if limit is None else f"{printable(name)}, the limit of which is {limit}"
