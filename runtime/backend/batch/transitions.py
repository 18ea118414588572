"""What has become of a job? From what is seen of it to what is said of it. Pure: neither trio nor time.

There are three witnesses, and they are believed in this order:

1. the *exit record*, which the job itself wrote: it alone says that a job passed;
2. the *queue*: that it waits, runs, or ended by the system's doing; and, by not having it, that nothing of it runs;
3. *accounting*, where there is one, of what the queue has forgotten.

None of them is believed too early. A record alone is not yet an end: the system may still be ending what the job left
behind, or be about to start it again (then the record is of an earlier start, and is dropped). It becomes one when the
queue says so as well; or, if the queue says nothing for as long as `visibility_timeout` (it does not answer, or a node does not come
to its end), by itself. An end without a record is not yet known to be one: on a slow file system the record may be on
its way, for `visibility_timeout`; unless its end was asked for, which explains it, as soon as two answers in a row do not have the
job: in one of them it may be on its way from the queue to a node. And a queue that does not answer has said nothing: a
missing answer is never an end.

What is neither recorded nor in the queue for `visibility_timeout` is *lost*; never passed. What was told to end, and is then missing
from two answers in a row, has ended: one answer can be empty by mistake.
"""

from __future__ import annotations

import attrs

from runtime.backend.batch.records import Record
from runtime.backend.batch.system import Phase, Row
from runtime.job import FailureKind, JobStatus


@attrs.define
class ElementHistory:
    """What was seen of a job so far, as far as it matters."""

    status: JobStatus = JobStatus.QUEUED
    note: str | None = None
    recorded_since: float | None = None
    missing_since: float | None = None
    """Since when answers of the queue do not have it, in seconds."""
    ended_since: float | None = None
    """Since when the queue says that it has ended, in seconds."""
    unexpected_since: float | None = None
    """Since when the queue says what one cannot make much of, in seconds."""
    warned: bool = False


@attrs.frozen
class Evidence:
    """What is seen of a job now."""

    now: float
    """Seconds, of the clock that `ElementHistory` has its times from."""
    answered: bool
    """Whether the queue was asked since the job was accepted, and has answered."""
    row: Row | None = None
    """What it, or accounting, says."""
    record: Record | None = None
    stopping: bool = False
    """Whether its end was asked for, and so an end needs no further explanation."""


@attrs.frozen
class Moved:
    """It is in the queue, or runs."""

    status: JobStatus
    note: str | None


@attrs.frozen
class Unexpected:
    """It is to be wondered at, and waited for."""

    why: str


@attrs.frozen
class Ended:
    """It has ended, and this is what there is to tell how."""

    record: Record | None
    row: Row | None


@attrs.frozen
class Missing:
    """It is in no queue, left no record, and `visibility_timeout` is over."""


Transition = Moved | Unexpected | Ended | Missing | None


def next_transition(history: ElementHistory, evidence: Evidence, visibility_timeout: float) -> Transition:
    """Return what is new, and remember it in `history`.

    Args:
        history: of this job.
        evidence: what is seen of it now.
        visibility_timeout: seconds that a file, or a queue, may be late.
    """
    row, now = evidence.row, evidence.now
    record = evidence.record
    if record is not None and row is not None and _is_of_an_earlier_start(record, row):
        record = None
    history.recorded_since = None if record is None else _since(history.recorded_since, now)
    has_ended = row is not None and row.state.phase is Phase.ENDED
    is_missing = row is None and evidence.answered
    if record is not None and (has_ended or is_missing or _is_over(history.recorded_since, now, visibility_timeout)):
        return Ended(record, row)
    if row is None:
        return _missing(history, evidence, visibility_timeout) if is_missing else None
    history.missing_since = None
    history.ended_since = _since(history.ended_since, now) if has_ended else None
    if not has_ended:
        return _alive(history, row, now, visibility_timeout)
    stopped_as_asked = evidence.stopping and row.state.kind is FailureKind.CANCELLED
    return Ended(None, row) if stopped_as_asked or _is_over(history.ended_since, now, visibility_timeout) else None


def _is_of_an_earlier_start(record: Record, row: Row) -> bool:
    return row.restarts > record.restarts or row.state.phase is Phase.PENDING


def _missing(history: ElementHistory, evidence: Evidence, visibility_timeout: float) -> Transition:
    if evidence.stopping and history.missing_since is not None:
        return Ended(None, None)
    history.missing_since = _since(history.missing_since, evidence.now)
    return Missing() if _is_over(history.missing_since, evidence.now, visibility_timeout) else None


def _alive(history: ElementHistory, row: Row, now: float, visibility_timeout: float) -> Transition:
    phase = row.state.phase
    is_unexpected = phase in (Phase.UNKNOWN, Phase.ENDING)
    history.unexpected_since = _since(history.unexpected_since, now) if is_unexpected else None
    if not is_unexpected:
        history.warned = False
        status = JobStatus.RUNNING if phase is Phase.RUNNING else JobStatus.QUEUED
        if (status, row.note) != (history.status, history.note):
            moved = status is not history.status or row.note is not None
            history.status, history.note = status, row.note
            return Moved(status, row.note) if moved else None
        return None
    tolerated = 0 if phase is Phase.UNKNOWN else visibility_timeout
    if not history.warned and _is_over(history.unexpected_since, now, tolerated):
        history.warned = True
        return Unexpected(
            f"is in state {row.word}, which means nothing to us; it is waited for"
            if phase is Phase.UNKNOWN
            else f"has been in state {row.word} for {visibility_timeout:g} s; it is waited for"
        )
    return None


def _since(since: float | None, now: float) -> float:
    return now if since is None else since


def _is_over(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds
