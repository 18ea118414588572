"""What the page of a run shows while the run goes on, as JSON. Bounded, whatever the size of the run. Pure."""

from __future__ import annotations

import json
from typing import Final

from runtime.job.counting import COUNTED_AS
from runtime.job.shorten import shorten
from runtime.job.status import JobStatus
from runtime.journal.records import Begin, Record
from runtime.journal.replay import RunState
from runtime.report.buckets import headline_of
from runtime.report.progress import RunSnapshot
from runtime.report.recorded_progress import RecordedProgress
from runtime.report.results import run_state
from runtime.report.text import printable
from runtime.serve.failures import FailureTable

MAX_ROWS: Final = 50
"""Rows of each table. Arbitrary: some screens; ten times more would be 100 kB, twice a second for each viewer."""
MAX_BUCKETS: Final = 20
"""Buckets. Arbitrary: for the same reason."""
MAX_TEXT: Final = 300
"""Characters of an id or a message. Arbitrary: some lines; a job may have an id of a megabyte."""


class RunView:
    """A run as its journal tells it, and what the page shows of it."""

    def __init__(self, run_dir: str) -> None:
        self.recorded: RecordedProgress = RecordedProgress(run_dir)
        self.failures: FailureTable = FailureTable(self.recorded.state)

    @property
    def state(self) -> RunState:
        """The state of the run."""
        return self.recorded.state

    def apply(self, record: Record) -> None:
        """Add what the next record of the journal says."""
        self.recorded.apply(record)
        self.failures.apply(record)
        if not isinstance(record, Begin):
            # It collects what a terminal shows once; nothing here shows it.
            self.recorded.progress.take_failures()
            self.recorded.progress.take_retries()

    def snapshot(self, now: float, *, is_live: bool, note: str = "") -> bytes:
        """Return what the page shows, as JSON in one line.

        Args:
            now: the wall time, in seconds since 1970.
            is_live: whether a process runs the run.
            note: what else is to be known of it.
        """
        state = self.state
        how = run_state(state, is_live=is_live)
        shown = self.recorded.snapshot(now if is_live else _end(state, now), rows=MAX_ROWS)
        content = {
            "state": how,
            "title": _text(shown.title),
            "elapsed": round(max(0.0, shown.elapsed), 1) if is_live or how == "ended" else None,
            "total": shown.total,
            "done": shown.done,
            "counts": _counts(shown),
            "note": _text(note) or (_note(shown) if is_live else ""),
            "running": [self._running_row(*row) for row in shown.running] if is_live else [],
            "waiting": [self._running_row(*row) for row in shown.waiting] if is_live else [],
            "buckets": [
                {
                    "message": _text(bucket.key.message),
                    "rule": bucket.key.rule is not None,
                    "count": bucket.count,
                    "number": bucket.number,
                    "id": _text(state.ids[bucket.number]),
                }
                for bucket in self.failures.largest(MAX_BUCKETS)
            ],
            "bucket_count": self.failures.bucket_count,
            "failures": [self._failure(number) for number in self.failures.newest(MAX_ROWS)],
        }
        return json.dumps(content, separators=(",", ":")).encode("ascii")

    def is_running(self, number: int) -> bool:
        """Whether a job runs, as far as it is known: of some backends nothing but its start tells."""
        state = self.state
        return (
            state.statuses[number] is JobStatus.RUNNING or self.recorded.progress.started(state.ids[number]) is not None
        )

    def _running_row(self, job_id: str, seconds: float, note: str) -> dict[str, object]:
        number = self.state.numbers.get(job_id)
        return {"number": number, "id": _text(job_id), "seconds": round(max(0.0, seconds), 1), "note": _text(note)}

    def _failure(self, number: int) -> dict[str, object]:
        event = self.state.result(number)
        assert event is not None
        message = "" if event.reason is None else headline_of(event.reason)
        word = "known" if event.known is not None else event.status.name.lower()
        return {"number": number, "id": _text(event.job_id), "status": word, "message": _text(message)}


def _counts(shown: RunSnapshot) -> dict[str, int]:
    counted = shown.counted or {}
    waiting = shown.counts.get(JobStatus.QUEUED, 0) + shown.counts.get(JobStatus.SCHEDULED, 0)
    ends = {name: counted.get(name, 0) for name in COUNTED_AS}
    return {**ends, "running": shown.counts.get(JobStatus.RUNNING, 0), "waiting": waiting}


def _note(shown: RunSnapshot) -> str:
    if shown.stopping:
        return _text(shown.stopping)
    return "" if shown.paused_by is None else _text(f"launching is paused by {shown.paused_by}")


def _end(state: RunState, now: float) -> float:
    """Return the wall time at which the last segment ended; `now` if that is not known."""
    last = state.segments[-1] if state.segments else None
    return now if last is None or last.end is None else last.begin.epoch + last.end.at


def _text(text: str) -> str:
    return printable(shorten(text, MAX_TEXT))
