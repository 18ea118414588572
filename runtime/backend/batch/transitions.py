"""What has become of a job? From what is observed of it to what is reported of it. Pure: neither trio nor time.

There are three sources of evidence, in this order of trust:

1. the *exit record*, which the job itself writes: only a record says that a job passed;
2. the *queue*: it says that the job waits, runs, or was ended by the system; and, if it does not list the job, that
   nothing of it runs;
3. *accounting*, where there is one: for what the queue has forgotten.

None of them is believed too early:

- A record alone is not an end. The system may still be ending the job's other processes, or be about to start the job
  again; then the record is of an earlier start, and is dropped. The record is an end as soon as the queue agrees, or
  after `visibility_timeout` if the queue does not (because it does not answer, or a node stays COMPLETING).
- An end without a record waits `visibility_timeout` for the record, which a network file system may show late. If the
  job was stopped at our request, that explains the missing record, and there is nothing to wait for: it was cancelled,
  or its element found that it had been revoked before it began (see `cancelling`).
- A query without an answer says nothing: it is never an end.

A job that has no record and is not listed for `visibility_timeout` is *lost*, never passed. A job that is being stopped
has ended once two listings in a row do not have it; one is not enough, as the job may be on its way from the queue to a
node, or the listing may be empty by mistake.
"""

from __future__ import annotations

import attrs

from runtime.backend.batch.exit_records import TAKEN, UNSEEN, ExitRecord
from runtime.backend.batch.system import Phase, QueueRow
from runtime.job import FailureKind, JobStatus


@attrs.define
class ElementHistory:
    """What has been observed of a job so far. Times are in seconds; `None` if it is not so at present."""

    status: JobStatus = JobStatus.QUEUED
    """The status that was last reported."""
    note: str | None = None
    """The note that was last reported."""
    recorded_since: float | None = None
    """Since when it has a record."""
    missing_since: float | None = None
    """Since when listings do not have it."""
    ended_since: float | None = None
    """Since when the queue says that it has ended."""
    unexpected_since: float | None = None
    """Since when it is in a state that we do not know, or that should be short."""
    warned: bool = False
    """Whether that state has been reported."""


@attrs.frozen
class Evidence:
    """What is observed of a job in one tick."""

    now: float
    """Seconds, of the same clock as the times of `ElementHistory`."""
    answered: bool
    """Whether there is a complete listing that was asked for after the job was accepted."""
    row: QueueRow | None = None
    """What the queue, or accounting, says of it."""
    record: ExitRecord | None = None
    """Its exit record, if that is visible."""
    stopping: bool = False
    """Whether it is being stopped, which explains an end without a record."""


@attrs.frozen
class Moved:
    """Its status or note has changed: it waits, or it runs."""

    status: JobStatus
    note: str | None


@attrs.frozen
class Unexpected:
    """It is in a state that it should not be in; reported once, and waited out."""

    why: str


@attrs.frozen
class Finished:
    """It has ended; record and row tell how."""

    record: ExitRecord | None
    row: QueueRow | None


@attrs.frozen
class Missing:
    """It is not in the queue, and has no record, for `visibility_timeout`."""


@attrs.frozen
class Unseen:
    """It did not begin, because its node does not see its files."""

    row: QueueRow


Transition = Moved | Unexpected | Finished | Missing | Unseen


def next_transition(history: ElementHistory, evidence: Evidence, visibility_timeout: float) -> Transition | None:
    """Return what has changed, or `None`; and update `history`.

    Args:
        history: of this job.
        evidence: what is observed of it now.
        visibility_timeout: how late a file, or a row of the queue, may appear, in seconds.
    """
    transition = _next(history, evidence, visibility_timeout)
    row = evidence.row
    return Unseen(row) if transition is None and row is not None and row.code == UNSEEN else transition


def _next(history: ElementHistory, evidence: Evidence, visibility_timeout: float) -> Transition | None:
    row, now = evidence.row, evidence.now
    record = evidence.record
    if record is not None and row is not None and _is_of_an_earlier_start(record, row):
        record = None
    # A record can disappear again: a later start of the job replaces it.
    history.recorded_since = None if record is None else _since(history.recorded_since, now)
    has_ended = row is not None and row.state.phase is Phase.ENDED
    is_missing = row is None and evidence.answered
    if record is not None and (has_ended or is_missing or _is_over(history.recorded_since, now, visibility_timeout)):
        return Finished(record, row)
    if row is None:
        return _missing(history, evidence, visibility_timeout) if is_missing else None
    history.missing_since = None
    history.ended_since = _since(history.ended_since, now) if has_ended else None
    if not has_ended:
        return _alive(history, row, now, visibility_timeout)
    stopped_as_asked = evidence.stopping and is_end_of_stop(row)
    tolerated = visibility_timeout + row.state.doubt
    return Finished(None, row) if stopped_as_asked or _is_over(history.ended_since, now, tolerated) else None


def is_end_of_stop(row: QueueRow | None) -> bool:
    """Whether a stop explains that a job has ended in this way, without a record."""
    return row is None or row.state.kind is FailureKind.CANCELLED or row.code == TAKEN


def _is_of_an_earlier_start(record: ExitRecord, row: QueueRow) -> bool:
    # A job that is requeued is PENDING again before its restart is counted.
    return row.restarts > record.restarts or row.state.phase is Phase.PENDING


def _missing(history: ElementHistory, evidence: Evidence, visibility_timeout: float) -> Transition | None:
    if evidence.stopping and history.missing_since is not None:  # the second listing in a row
        return Finished(None, None)
    history.missing_since = _since(history.missing_since, evidence.now)
    return Missing() if _is_over(history.missing_since, evidence.now, visibility_timeout) else None


def _alive(history: ElementHistory, row: QueueRow, now: float, visibility_timeout: float) -> Transition | None:
    phase = row.state.phase
    is_unexpected = phase in (Phase.UNKNOWN, Phase.ENDING)
    history.unexpected_since = _since(history.unexpected_since, now) if is_unexpected else None
    if not is_unexpected:
        history.warned = False
        status = JobStatus.RUNNING if phase is Phase.RUNNING else JobStatus.QUEUED
        if (status, row.note) != (history.status, history.note):
            # A note that only vanishes is not worth an event.
            moved = status is not history.status or row.note is not None
            history.status, history.note = status, row.note
            return Moved(status, row.note) if moved else None
        return None
    # Each job is ENDING for a moment; a state that we do not know is worth a warning at once.
    tolerated = 0 if phase is Phase.UNKNOWN else visibility_timeout
    if not history.warned and _is_over(history.unexpected_since, now, tolerated):
        history.warned = True
        return Unexpected(
            f"is in state {row.word}, which is not known; it is waited for"
            if phase is Phase.UNKNOWN
            else f"has been in state {row.word} for {visibility_timeout:g} s; it is waited for"
        )
    return None


def _since(since: float | None, now: float) -> float:
    return now if since is None else since


def _is_over(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds
