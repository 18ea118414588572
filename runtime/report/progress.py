"""`RunProgress`: what a display shows of a run in progress, built from its status changes. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import attrs

from runtime.job import FailureClass, JobResult, JobStatus
from runtime.report.buckets import headline, is_consequence, is_of_backend
from runtime.report.counts import count_pieces
from runtime.report.expectations import Expectations
from runtime.report.jobs_in_flight import RunningJobs, WaitingJobs, reasons_to_wait
from runtime.report.reported_job import ReportedJob
from runtime.report.seeds import split_seed
from runtime.report.summary import MAX_MESSAGE, Line, Piece
from runtime.report.text import printable, printable_start, quantity, rough_duration, short_duration
from runtime.report.time_left import Estimate, TimeLeft
from runtime.scheduler.statuses import StatusChange

MAX_RECENT: Final = 5
"""Recent failures that a live display shows. Arbitrary: ten times more, and they leave no rows for the running jobs;
with one, of several failures at once only the last is seen."""
MAX_REASONS: Final = 3
"""Reasons of backends for which jobs wait that a live display shows. Arbitrary: ten times more fill a screen; with one,
it is not seen that there are others."""

REASON_WIDTH: Final = 40
"""Characters of a reason. Arbitrary: those of batch systems are words; ten times more would wrap."""


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
    left: Estimate | None = None
    """The time that is left; `None` if there is no estimate."""
    reasons: Sequence[tuple[str, int]] = ()
    """Why jobs wait, and how many for each reason; the most first."""
    slow: int = 0
    """How many running jobs take much longer than in earlier runs."""
    new: int = 0
    """How many failures are of tests that did not fail in the last run."""
    new_ids: Collection[str] = ()
    """The ids of those in `recent`."""

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
        self._left = TimeLeft()
        self._running = RunningJobs(self._left.usual)
        self._waiting = WaitingJobs()
        self._recent: deque[JobResult[ReportedJob]] = deque(maxlen=MAX_RECENT)
        self._unreported: list[JobResult[ReportedJob]] = []
        self._retries: list[Line] = []
        self._backend_errors: set[str] = set()
        """The backends' errors that were reported. Each is the reason of all jobs of its backend."""
        self._failing: Collection[str] | None = None
        """As in `Expectations`."""
        self._failed: list[str] = []
        """The tests of all failures of the design, while it is not known which of them are new."""
        self._new = 0
        self.stopping = ""
        """See `RunSnapshot.stopping`."""

    def begin(self, title: str, started: float) -> None:
        """Replace what was said at the beginning."""
        self._title, self._started = title, started

    def add(self, jobs: Iterable[tuple[str, int | None]]) -> None:
        """Add jobs that have not ended, by their ids and seeds. Without them, the time that is left is not known."""
        self._left.add(jobs)

    def expect(self, expected: Expectations) -> None:
        """Use what earlier runs tell."""
        self._left.expect(expected)
        self._running.watch_all()
        if expected.failing is not None:
            self._failing = expected.failing
            self._new = sum(test not in self._failing for test in self._failed)
            self._failed.clear()

    def apply(self, change: StatusChange[ReportedJob]) -> None:
        """Record one status change."""
        # This, `begin_job` and `end_job` are done for each job of a run, twice: so they make few calls.
        job_id, event, new = change.id, change.event, change.new
        if new is JobStatus.RUNNING:
            self.begin_job(job_id, change.at, change.note)
        elif new is JobStatus.PASSED:
            self.end_job(job_id, change.at)
        elif new is JobStatus.QUEUED and change.note and event is None:
            self._running.stop(job_id)
            self._waiting.wait(job_id, change.at, change.note)
        elif new.is_terminal:
            self.end_job(job_id, change.at)
            if event is not None:
                self._fail(JobResult(change.job, event))
        else:
            self._running.stop(job_id)
            self._waiting.pop(job_id)
            if event is not None:
                self._retries.append(retry_line(change))

    def begin_job(self, job_id: str, at: float, note: str | None) -> None:
        """Record that a job runs. It may come again, with a new note: the job runs since the first time."""
        self._running.begin(job_id, at, note or "")
        self._waiting.pop(job_id)

    def end_job(self, job_id: str, at: float) -> None:
        """Record that a job has ended, but for why: one that did not pass comes to `apply`."""
        since = self._running.stop(job_id)
        self._waiting.pop(job_id)
        # One that was not seen to run has a result of another run, or was too short to be seen.
        self._left.end(job_id, None if since is None else at - since)

    def _fail(self, result: JobResult[ReportedJob]) -> None:
        # There may be thousands of these, and they would hide the failure that caused them.
        if is_consequence(result) or self._was_reported(result):
            return
        self._unreported.append(result)
        self._recent.append(result)
        if not _is_of_design(result):
            return
        if self._failing is None:
            self._failed.append(_test_of(result))
        elif _test_of(result) not in self._failing:
            self._new += 1

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
        return self._running.started(job_id)

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
        tells_ready: bool = True,
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
            tells_ready: see `reasons_to_wait`.
        """
        left = sum(count for status, count in counts.items() if not status.is_terminal)
        scheduled, queued = counts.get(JobStatus.SCHEDULED, 0), counts.get(JobStatus.QUEUED, 0)
        return RunSnapshot(
            title=self._title,
            elapsed=now - self._started,
            counts=dict(counts),
            running=self._running.rows(now, rows),
            recent=tuple(self._recent),
            stopping=self.stopping,
            counted=counted,
            paused_by=paused_by,
            waiting=self._waiting.rows(now, rows),
            resources=resources or {},
            lacking=lacking,
            left=self._left.estimate(left, len(self._running), self._running.elapsed(now)),
            reasons=reasons_to_wait(scheduled, queued, self._waiting, lacking, MAX_REASONS, tells_ready=tells_ready),
            slow=self._running.slow,  # after `rows`, which finds out
            new=self._new,
            new_ids=frozenset(each.id for each in self._recent if self._is_new(each)),
        )

    def _is_new(self, result: JobResult[ReportedJob]) -> bool:
        if self._failing is None or not _is_of_design(result):
            return False
        return _test_of(result) not in self._failing


def _test_of(result: JobResult[ReportedJob]) -> str:
    return split_seed(result.id, result.job.seed)[0]


def _is_of_design(result: JobResult[ReportedJob]) -> bool:
    return result.known is None and result.failure_class is FailureClass.DESIGN


def retry_line(change: StatusChange[ReportedJob]) -> Line:
    """Return the line of a job that is tried again: why, and when."""
    reason = None if change.event is None else change.event.reason
    message = "" if reason is None else f"{printable_start(reason.message, MAX_MESSAGE)}; "
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


def expected_line(snapshot: RunSnapshot) -> Line:
    """Return the time that is left, new failures and slow jobs; empty if nothing is known of them."""
    pieces: list[Piece] = []
    if snapshot.left is not None and not snapshot.stopping and snapshot.paused_by is None:
        runs = snapshot.left.runs
        by = f"as in {quantity(runs, 'earlier run')}" if runs else "by the mean of this run"
        pieces.append((f"about {rough_duration(snapshot.left.seconds)} left ({by})", ""))
    if snapshot.new:
        pieces.append((quantity(snapshot.new, "new failure"), "bold red"))
    if snapshot.slow:
        pieces.append((f"{snapshot.slow} slow", "yellow"))
    return _separated(pieces, "")


def reasons_line(snapshot: RunSnapshot) -> Line:
    """Return why jobs wait, and how many for each reason; empty if none waits."""
    pieces = [(f"{count} {printable_start(reason, REASON_WIDTH)}", "dim") for reason, count in snapshot.reasons]
    return _separated(pieces, "waiting: ")


def _separated(pieces: Sequence[Piece], title: str) -> Line:
    """Return pieces with commas between them, each a part of the piece before it, as lines break between pieces."""
    ends = [", "] * (len(pieces) - 1) + [""]
    found = [(text + end, style) for (text, style), end in zip(pieces, ends, strict=False)]
    return ((title, "dim"), *found) if title and found else tuple(found)


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
