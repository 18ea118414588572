"""Histories for people: the tests of which there is something to tell, or one of them run by run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runtime.history.comparison_lines import (
    failing_text,
    flaky_text,
    revision_text,
    slower_text,
    standing_text,
)
from runtime.history.judgements import Entry, Judgement
from runtime.history.outcomes import FAILING, Standing
from runtime.history.overview import JobHistory
from runtime.history.tables import SpanOf, buckets_of
from runtime.report.screen_fit import Section
from runtime.report.summary import MAX_MESSAGE, Line
from runtime.report.text import printable, printable_start, quantity, short_duration

_STYLES = {
    Standing.PASSED: "green",
    Standing.FAILED: "bold red",
    Standing.KNOWN: "cyan",
    Standing.INFRASTRUCTURE: "magenta",
    Standing.NEVER_RAN: "yellow",
    Standing.UNFINISHED: "cyan",
}


def histories_sections(
    found: Sequence[JobHistory], job: str | None, span_of: SpanOf, *, last: int | None
) -> Iterator[Section]:
    """Yield the parts of the text about what `overview.histories` has found: an overview of tests, or one run by run.

    Args:
        found: the histories.
        job: what was asked for.
        span_of: see `SpanOf`.
        last: how many runs of one test are shown, the newest ones; `None` for all.
    """
    if job is None or len({each.id for each in found}) > 1:
        yield from overview_sections(found)
        return
    for each in found:
        yield from history_sections(each, span_of, last=last)


def overview_sections(histories: Sequence[JobHistory]) -> Iterator[Section]:
    """Yield the parts of the text about many tests: those that fail, are flaky, are slower, and all others."""
    parts: dict[str, list[JobHistory]] = {"Failing": [], "Flaky": [], "Slower": [], "Passing": [], "Not known": []}
    for history in histories:
        parts[_part_of(history)].append(history)
    with_suite = len({history.suite for history in histories}) > 1
    for title, found in parts.items():
        # What began to fail last is looked at first.
        found.sort(key=lambda each: (each.judgement.failing, each.id))
        if found:
            yield Section(
                ((f"{title} ({len(found)})", "bold"),),
                [[_overview_line(each, with_suite=with_suite)] for each in found],
            )
    if not histories:
        yield Section((("no test fails, is flaky, or is slower than it was", ""),), [])


def _part_of(history: JobHistory) -> str:
    judgement = history.judgement
    if judgement.failing:
        return "Failing"
    if judgement.flaky is not None:
        return "Flaky"
    if judgement.slower is not None:
        return "Slower"
    return "Not known" if judgement.last_passed is None else "Passing"


def _overview_line(history: JobHistory, *, with_suite: bool) -> Line:
    told = next((entry for entry in reversed(history.entries) if entry.standing in FAILING), None)
    bucket = told.bucket if told is not None and history.judgement.failing else None
    of = f" of {printable(history.suite)}" if with_suite and history.suite else ""
    message = f": {printable_start(bucket, MAX_MESSAGE)}" if bucket else ""
    return (
        ("  ", ""),
        (printable(history.id), "bold"),
        (f"{of}  {judgement_text(history.judgement)}", ""),
        (message, "dim"),
    )


def judgement_text(judgement: Judgement) -> str:
    """Return a judgement for people."""
    parts = []
    if judgement.failing:
        parts.append(failing_text(judgement))
    elif judgement.last_passed is not None:
        parts.append(f"passed last in {printable(judgement.last_passed.name)}")
    else:
        parts.append("no run says whether it passes")
    if judgement.flaky is not None:
        parts.append(f"flaky: {flaky_text(judgement.flaky)}")
    if judgement.slower is not None:
        parts.append(f"slower: {slower_text(judgement.slower)}")
    return "; ".join(parts)


def history_sections(history: JobHistory, span_of: SpanOf, *, last: int | None) -> Iterator[Section]:
    """Yield the parts of the text about one test or job.

    Args:
        history: of it.
        span_of: see `SpanOf`.
        last: how many runs are shown, the newest ones; `None` for all.
    """
    of = f" of {printable(history.suite)}" if history.suite else ""
    runs = quantity(len(history.entries), "run")
    yield Section(
        (
            (printable(history.id), "bold"),
            (f"{of}, in {runs}: ", ""),
            (judgement_text(history.judgement), ""),
        ),
        [],
    )
    newest_first = list(reversed(history.entries))
    yield Section((("Runs, the newest first", "bold"),), [[_entry_line(entry)] for entry in newest_first[:last]])
    found = buckets_of(history.entries)
    if found:
        yield Section(
            (("Failures by message", "bold"),),
            [[_bucket_line(bucket, runs, history.suite, span_of)] for bucket, runs in found.items()],
        )


def _entry_line(entry: Entry) -> Line:
    standing = entry.standing
    alike = sum(outcome.standing is standing for outcome in entry.outcomes)
    total = len(entry.outcomes)
    what = standing_text(standing) if total == 1 else f"{alike} of {total} {standing_text(standing)}"
    seconds = [outcome.seconds for outcome in entry.outcomes if outcome.seconds is not None]
    took = short_duration(max(seconds)) if seconds else "-"
    notes = []
    attempt = max(outcome.attempt for outcome in entry.outcomes)
    if attempt > 1:
        notes.append(f"attempt {attempt}")
    if any(outcome.flaky for outcome in entry.outcomes):
        notes.append("flaky")
    if all(outcome.kept for outcome in entry.outcomes):
        notes.append("kept of another run")
    if entry.bucket:
        notes.append(printable_start(entry.bucket, MAX_MESSAGE))
    return (
        (f"  {printable(entry.run.name):22}  ", ""),
        (f"{what:14}  ", _STYLES[standing]),
        (f"{took:>8}  {revision_text(entry.run)}", ""),
        (f"  {', '.join(notes)}" if notes else "", ""),
    )


def _bucket_line(bucket: str, runs: int, suite: str, span_of: SpanOf) -> Line:
    span = span_of(suite, bucket)
    seen = ""
    if span is not None:
        seen = f"  first seen in {printable(span.first.name)}, last in {printable(span.last.name)}"
    return ((f"  {runs:4} x ", "bold red"), (printable_start(bucket, MAX_MESSAGE), ""), (seen, "dim"))
