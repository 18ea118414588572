"""`RecordedProgress`: what a display shows of a run that another process runs, built from its journal. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from runtime.job import JobStatus
from runtime.job.counting import COUNTED_AS, counted_as
from runtime.job.status import PASSED, QUEUED, RUNNING, TERMINAL
from runtime.journal.records import Begin, Ended, Jobs, Progress, Record, Starting
from runtime.journal.replay import RunState
from runtime.report.progress import RunProgress, RunSnapshot
from runtime.report.text import printable
from runtime.scheduler.statuses import StatusChange


class RecordedProgress:
    """The state of a run, and what has changed in it. Times are wall times, in seconds since 1970.

    Args:
        run_dir: the run directory.
    """

    def __init__(self, run_dir: str) -> None:
        self.state: Final = RunState(run_dir)
        self.progress: Final = RunProgress(run_dir.rpartition("/")[2], 0)
        """The running jobs, and the failures."""
        self._counts: Counter[JobStatus] | None = Counter()
        """`None` while they have to be counted anew."""
        self._counted_as: dict[int, str] = {}
        """By the numbers of the jobs that have ended."""
        self._counted: Counter[str] = Counter()
        """How many of them are counted as what."""
        self._begun: set[int] = set()
        """Jobs that are shown as running since they were submitted: of a backend without a queue nothing else tells."""

    def apply(self, record: Record) -> None:
        """Add what the next record of the journal says."""
        match record:
            case Begin():
                if not self.state.segments:
                    self.progress.begin(_title(record, self.state.run_dir), record.at)
                self.state.apply(record)
            case Jobs():
                replaced = [self.state.numbers[job_id] for job_id in record.ids if job_id in self.state.numbers]
                for number in replaced:
                    self._count_as(number, None)
                    self._begun.discard(number)
                left = {self.state.ids[number] for number in replaced if not self.state.statuses[number].is_terminal}
                self.state.apply(record)
                jobs = zip(record.ids, record.seeds, strict=True)
                self.progress.add(each for each in jobs if each[0] not in left)
                self._counts = None
            case Starting() | Progress() | Ended():
                self._apply_changes(record)
            case _:
                self.state.apply(record)

    def snapshot(self, now: float, *, rows: int = 1000, note: str = "") -> RunSnapshot:
        """Return a snapshot.

        Args:
            now: the wall time.
            rows: how many of the running jobs it has at most, and of those that wait.
            note: what the user should know beside it; what stops the run is told otherwise.
        """
        last = self.state.segments[-1] if self.state.segments else None
        stopped_by = None if last is None else last.stopped_by
        self.progress.stopping = note or ("" if stopped_by is None else f"being stopped by {printable(stopped_by)}")
        return self.progress.snapshot(
            self._count(),
            now,
            rows=rows,
            paused_by=None if last is None else last.paused_by,
            counted=+self._counted,
            resources=last.samples[-1].held() if last is not None and last.samples else {},
            tells_ready=False,
        )

    def _count_as(self, number: int, what: str | None) -> None:
        """Take note of what a job is counted as; `None` if it has not ended."""
        before = self._counted_as.pop(number, None)
        if before is not None:
            self._counted[before] -= 1
        if what is not None:
            self._counted_as[number] = what
            self._counted[what] += 1

    def _count(self) -> Counter[JobStatus]:
        if self._counts is None:
            self._counts = self.state.counts()
            self._counts[QUEUED] -= len(self._begun)
            self._counts[RUNNING] += len(self._begun)
        return self._counts

    def _apply_changes(self, record: Starting | Progress | Ended) -> None:
        state = self.state
        counts = self._count()
        known = [number for number in record.jobs if 0 <= number < len(state.ids)]
        before = {number: RUNNING if number in self._begun else state.statuses[number] for number in known}
        state.apply(record)
        if isinstance(record, Starting) and not record.queued:
            self._begun.update(number for number in known if state.numbers[state.ids[number]] == number)
        else:
            self._begun.difference_update(known)
        has_ended = isinstance(record, Ended)
        epoch = state.segments[-1].begin.epoch if state.segments else 0
        for number, at, note in _moves(record):
            if number not in before or state.numbers[state.ids[number]] != number:
                continue  # a job can write a journal; or it was replaced, and counts no longer
            old, new = before[number], RUNNING if number in self._begun else state.statuses[number]
            before[number] = new
            counts[old] -= 1
            counts[new] += 1
            # What most jobs do has no event and no description, which would take most of the time.
            if new is PASSED:
                self._count_as(number, COUNTED_AS[0])
                self.progress.end_job(state.ids[number], epoch + at)
            elif new is RUNNING and old not in TERMINAL:
                self.progress.begin_job(state.ids[number], epoch + at, note)
            else:
                self._tell(number, old, new, epoch + at, note, has_ended)

    def _tell(self, number: int, old: JobStatus, new: JobStatus, at: float, note: str | None, has_ended: bool) -> None:
        state = self.state
        job, event = state.description(number), state.result(number)
        self._count_as(number, None if event is None else counted_as(event))
        if event is None and has_ended and (earlier := state.earlier(number)):
            # A job can write a journal, which says something else.
            event, note = earlier[-1], "it is tried again"
        if old.is_terminal and not new.is_terminal:  # a resume runs it again
            self.progress.add([(job.id, job.seed)])
        self.progress.apply(StatusChange(job, job.id, old, new, at, note, event))


def _moves(record: Starting | Progress | Ended) -> Iterator[tuple[int, float, str | None]]:
    """Return the number of each job of a record, the time of its change, and the note."""
    match record:
        case Starting():
            return ((number, record.at, None) for number in record.jobs)
        case Progress():
            return zip(record.jobs, record.at, record.notes, strict=True)
        case Ended():
            return ((number, at, None) for number, at in zip(record.jobs, record.ended, strict=True))


def _title(begin: Begin, run_dir: str) -> str:
    name = begin.details.get("name")
    return f"{name} ({run_dir.rpartition('/')[2]})" if isinstance(name, str) else run_dir.rpartition("/")[2]
