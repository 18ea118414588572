"""`Progress`: what a display shows of a run while it goes, kept from the scheduler's status changes. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from runtime.job import JobResult, JobStatus
from runtime.report.buckets import headline, is_consequence, is_of_backend
from runtime.report.counts import NEVER_RAN, count_pieces
from runtime.report.summary import Line, Piece
from runtime.report.text import short_duration
from runtime.scheduler.actions import StatusChange

MAX_RECENT: Final = 5
"""Recent failures that a live display keeps in sight. Arbitrary."""


@attrs.frozen
class Snapshot:
    """A moment of a run, for a display in another thread."""

    title: str
    elapsed: float
    """Seconds since the run began."""
    counts: Mapping[JobStatus, int]
    running: Sequence[tuple[str, float, str]]
    """Jobs that run, those that began first first: id, seconds, and where."""
    recent: Sequence[JobResult]
    """The last failures, oldest first."""
    stopping: str = ""
    """What the person should know of the run's being stopped."""
    never_ran: int = 0
    """Of the jobs that were killed, those that ended before they began to run."""

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """How many jobs have ended."""
        return sum(count for status, count in self.counts.items() if status.is_terminal)


class Progress:
    """Which jobs run, and which have failed."""

    def __init__(self, title: str, started: float) -> None:
        self._title = title
        self._started = started
        self._running: dict[str, tuple[float, str]] = {}
        self._recent: deque[JobResult] = deque(maxlen=MAX_RECENT)
        self._unsaid: list[JobResult] = []
        self._backend_errors: set[str] = set()
        """What was said of backends, each of which is the reason of all jobs that it had."""
        self.stopping = ""

    def see(self, change: StatusChange) -> None:
        """Take one status change."""
        job_id, event = change.id, change.event
        if change.new is JobStatus.RUNNING:
            since = self._running[job_id][0] if job_id in self._running else change.at
            self._running[job_id] = (since, change.note or "")
            return
        self._running.pop(job_id, None)
        if event is not None and event.status is not JobStatus.PASSED:
            result = JobResult(change.job, event)
            # There may be very many of those, and they say nothing new.
            if not (is_consequence(result) or self._was_said(result)):
                self._unsaid.append(result)
                self._recent.append(result)

    def _was_said(self, result: JobResult) -> bool:
        """Whether a job never ran for a reason of its backend's that was the reason of another job before."""
        if not is_of_backend(result):
            return False
        message = headline(result)
        was_said = message in self._backend_errors
        self._backend_errors.add(message)
        return was_said

    def started(self, job_id: str) -> float | None:
        """Return since when a job runs, in seconds; `None` if it does not, as far as is known here."""
        return self._running[job_id][0] if job_id in self._running else None

    def take_failures(self) -> list[JobResult]:
        """Return the failures that were not returned before."""
        taken, self._unsaid = self._unsaid, []
        return taken

    def snapshot(
        self, counts: Mapping[JobStatus, int], now: float, *, rows: int = 1000, never_ran: int = 0
    ) -> Snapshot:
        """Return the moment, with at most `rows` of the jobs that run."""
        running = [
            (job_id, now - since, note)
            for (job_id, (since, note)), _ in zip(self._running.items(), range(rows), strict=False)
        ]
        elapsed = now - self._started
        return Snapshot(self._title, elapsed, dict(counts), running, tuple(self._recent), self.stopping, never_ran)


def progress_line(moment: Snapshot) -> Line:
    """Return a snapshot in one line."""
    pieces: list[Piece] = [(f"[{short_duration(moment.elapsed)}] {moment.done}/{moment.total} done: ", "")]
    ends = {status.name.lower(): count for status, count in moment.counts.items()}
    ends |= {"killed": ends.get("killed", 0) - moment.never_ran, NEVER_RAN: moment.never_ran}
    pieces += [(f"{text}, ", style) for text, style in count_pieces(ends)]
    waiting = moment.counts.get(JobStatus.QUEUED, 0) + moment.counts.get(JobStatus.SCHEDULED, 0)
    pieces += [(f"{moment.counts.get(JobStatus.RUNNING, 0)} running, ", ""), (f"{waiting} waiting", "")]
    if moment.stopping:
        pieces.append((f" ({moment.stopping})", "yellow"))
    return tuple(pieces)
