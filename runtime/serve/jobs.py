"""What pages show of the jobs of a run: those that match, and one of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import attrs

from runtime.job import JobCompletionEvent, JobStatus
from runtime.job.shorten import shorten
from runtime.job.status import TERMINAL
from runtime.report.buckets import headline_of
from runtime.report.text import printable, printable_line, short_duration
from runtime.serve.snapshot import RunView

STATUSES: Final = ("passed", "failed", "killed", "running", "waiting")
"""What jobs can be chosen by."""
PAGE_SIZE: Final = 100
"""Jobs of a page. Arbitrary: some screens; ten times more are nodes by which a browser becomes slow."""
_MAX_TEXT: Final = 2000
"""Characters of a text on the page of a job. Arbitrary: a job may have an id of a megabyte."""
_MAX_CONTEXT: Final = 50
"""Lines around the line that explains a failure. Arbitrary: more are in the log."""


@attrs.frozen
class JobRow:
    """A job in a list."""

    number: int
    id: str
    status: str
    took: str
    message: str


@attrs.frozen
class JobPage:
    """Some of the jobs that match, and how many do."""

    rows: list[JobRow]
    count: int
    first: int
    """How many matching jobs come before."""


@attrs.frozen
class JobView:
    """All that a page shows of a job, but its log."""

    number: int
    id: str
    status: str
    is_over: bool
    facts: list[tuple[str, str]]
    """Name and value."""
    context: list[str]
    """Lines of the log around the one that explains the failure."""


def matching_jobs(view: RunView, *, status: str = "", text: str = "", first: int = 0) -> JobPage:
    """Return jobs in the order of the run.

    Args:
        view: of the run.
        status: one of `STATUSES`; any, if it is empty.
        text: what the id contains, in upper or lower case.
        first: how many of them are skipped.
    """
    text = text.casefold()
    numbers = [
        number
        for job_id, number in view.state.numbers.items()
        if (not text or text in job_id.casefold()) and (not status or _word(view, number) == status)
    ]
    rows = [_row(view, number) for number in numbers[first : first + PAGE_SIZE]]
    return JobPage(rows, len(numbers), first)


def job_view(view: RunView, number: int) -> JobView:
    """Return what is known of a job."""
    state = view.state
    event, job = state.result(number), state.description(number)
    word = _word(view, number)
    facts = [("status", word), *(_facts(event, state.epoch(number)) if event is not None else ())]
    if job.name != job.id:
        facts.append(("name", job.name))
    if job.seed is not None:
        facts.append(("seed", str(job.seed)))
    if number in state.origins:
        facts.append(("result of", f"the run {state.origins[number]}"))
    for earlier in state.earlier(number)[-5:]:
        reason = "" if earlier.reason is None else headline_of(earlier.reason)
        facts.append((f"attempt {earlier.attempt}", f"{earlier.status.name.lower()}: {reason}"))
    context = () if event is None or event.reason is None else event.reason.context or ()
    return JobView(
        number,
        printable(shorten(job.id, _MAX_TEXT)),
        word,
        state.statuses[number] in TERMINAL,
        [(name, printable(shorten(value, _MAX_TEXT))) for name, value in facts],
        [printable_line(shorten(line, _MAX_TEXT)) for line in context[:_MAX_CONTEXT]],
    )


def _facts(event: JobCompletionEvent, epoch: float | None) -> Iterator[tuple[str, str]]:
    if event.reason is not None:
        yield "reason", headline_of(event.reason)
    if event.known is not None:
        yield "known failure", event.known
    if event.attempt:
        yield "attempt", str(event.attempt)
    if event.started is not None:
        yield "run time", short_duration(event.ended - event.started)
    if epoch is not None:
        yield "ended", _time(epoch + event.ended)


def _time(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):  # a job can write a journal
        return "at an unknown time"


def _word(view: RunView, number: int) -> str:
    status: JobStatus = view.state.statuses[number]
    if status in TERMINAL:
        return status.name.lower()
    return "running" if view.is_running(number) else "waiting"


def _row(view: RunView, number: int) -> JobRow:
    event = view.state.result(number)
    took = "" if event is None or event.started is None else short_duration(event.ended - event.started)
    message = "" if event is None or event.reason is None else headline_of(event.reason)
    job_id = printable(shorten(view.state.ids[number], 300))
    return JobRow(number, job_id, _word(view, number), took, printable(shorten(message, 300)))
