"""Histories and comparisons for programs: what ``--json`` prints. Pure.

``comparison.schema.json`` and ``history.schema.json`` describe them. As in ``results.json``, times are in UTC, and what
is not known is null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from runtime.history.comparison import Compared, Comparison
from runtime.history.index import Span
from runtime.history.judgements import Entry, Judgement
from runtime.history.outcomes import FAILING, RunHead
from runtime.history.overview import JobHistory

VERSION: Final = 1
"""The version of both formats. It is increased when a key is removed or changes its meaning, not when one is added."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

SpanOf = Callable[[str, str], Span | None]
"""Returns in which runs of a suite a bucket was seen."""


def comparison_table(comparison: Comparison, span_of: SpanOf) -> dict[str, object]:
    """Return a comparison as JSON."""
    return {
        "version": VERSION,
        "run": run_table(comparison.run),
        "base": run_table(comparison.base),
        "jobs": comparison.jobs,
        "passed": comparison.passed,
        "counts": {change.value: len(found) for change, found in comparison.changes.items()},
        **{change.value: [_compared_table(each) for each in found] for change, found in comparison.changes.items()},
        "buckets": [
            _bucket_table(bucket, count, span_of(comparison.run.suite, bucket))
            for bucket, count in _buckets(comparison.changes.values()).items()
        ],
    }


def histories_table(histories: Sequence[JobHistory], *, last: int | None, span_of: SpanOf) -> dict[str, object]:
    """Return histories as JSON.

    Args:
        histories: of jobs.
        last: how many runs of each are in it, the newest ones; `None` for all.
        span_of: see `SpanOf`.
    """
    return {"version": VERSION, "jobs": [_history_table(each, last, span_of) for each in histories]}


def run_table(run: RunHead) -> dict[str, object]:
    """Return what is known of a run."""
    return {
        "run": run.name,
        "name": run.suite or None,
        "state": run.state,
        "started": _time(run.began),
        "revision": run.revision,
        "clean": run.is_clean,
        "partial": run.partial,
    }


def buckets_of(entries: Iterable[Entry]) -> dict[str, int]:
    """Return the failure buckets of runs of a test, and how many of these have each; that of the newest run first."""
    found: Counter[str] = Counter()
    for entry in reversed(list(entries)):
        found.update(list(dict.fromkeys(each.bucket for each in entry.failed if each.bucket is not None)))
    return dict(found)


def _buckets(changes: Iterable[Sequence[Compared]]) -> Counter[str]:
    """Return the buckets of the failures of a run, and how many jobs have each."""
    now = {each.id: each.now for found in changes for each in found if each.now is not None}
    return Counter(outcome.bucket for entry in now.values() for outcome in entry.failed if outcome.bucket is not None)


def _compared_table(compared: Compared) -> dict[str, object]:
    return {
        "id": compared.id,
        "test": compared.test,
        "now": None if compared.now is None else _entry_table(compared.now),
        "before": None if compared.before is None else _entry_table(compared.before),
        **_judgement_table(compared.judgement),
    }


def _history_table(history: JobHistory, last: int | None, span_of: SpanOf) -> dict[str, object]:
    newest_first = list(reversed(history.entries))
    return {
        "id": history.id,
        "name": history.suite or None,
        "first_seen": None if history.first_seen is None else history.first_seen.name,
        "last_seen": history.last_seen.name,
        **_judgement_table(history.judgement),
        "runs": [run_table(entry.run) | _entry_table(entry) for entry in newest_first[:last]],
        "buckets": [
            _bucket_table(bucket, runs, span_of(history.suite, bucket))
            for bucket, runs in buckets_of(history.entries).items()
        ],
    }


def _bucket_table(bucket: str, count: int, span: Span | None) -> dict[str, object]:
    """Return what is known of a bucket: `count` jobs of a run, or runs of a job, have it."""
    return {
        "bucket": bucket,
        "count": count,
        "first_seen": None if span is None else span.first.name,
        "last_seen": None if span is None else span.last.name,
        "runs": None if span is None else span.runs,
    }


def _entry_table(entry: Entry) -> dict[str, object]:
    seconds = [outcome.seconds for outcome in entry.outcomes if outcome.seconds is not None]
    return {
        "run": entry.run.name,
        "result": entry.standing.word,
        "jobs": len(entry.outcomes),
        "failing": [outcome.id for outcome in entry.outcomes if outcome.standing in FAILING],
        "bucket": entry.bucket,
        "attempt": max(outcome.attempt for outcome in entry.outcomes),
        "flaky": any(outcome.flaky for outcome in entry.outcomes),
        "kept": all(outcome.kept for outcome in entry.outcomes),
        "seconds": max(seconds, default=None),
    }


def _judgement_table(judgement: Judgement) -> dict[str, object]:
    flaky, slower = judgement.flaky, judgement.slower
    return {
        "last_passed": None if judgement.last_passed is None else judgement.last_passed.name,
        "failing": judgement.failing,
        "failing_since": None if judgement.failing_since is None else judgement.failing_since.name,
        "never_passed": judgement.never_passed,
        "flaky": None if flaky is None else {"run": flaky.run, "id": flaky.job, "revision": flaky.revision},
        "slower": None
        if slower is None
        else {"seconds": slower.seconds, "median": slower.median, "passes": slower.passes},
    }


def _time(seconds: float) -> str | None:
    """Return seconds since 1970 as ISO 8601, in UTC; `None` for what no calendar has."""
    try:
        time = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
