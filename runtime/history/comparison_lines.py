"""A comparison for people: what is new first, then what still fails, what is fixed, and the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from runtime.history.comparison import Change, Compared, Comparison
from runtime.history.judgements import Flakiness, Judgement, Slowness
from runtime.history.outcomes import FAILING, RunHead, Standing
from runtime.history.tables import SpanOf
from runtime.job.shorten import some_of
from runtime.report.screen_fit import Section
from runtime.report.summary import MAX_MESSAGE, Line
from runtime.report.text import printable, printable_start, quantity, short_duration

MAX_IDS: Final = 6
"""Ids that are named in a line. Arbitrary: ten times more would wrap over several lines."""
MAX_REVISION: Final = 12
"""Characters of a git revision that are shown: as many as git itself shows in a large repository."""

_TITLES: Final = {
    Change.NEW: ("New failures", "bold red"),
    Change.STILL_FAILING: ("Still failing", "bold red"),
    Change.FIXED: ("Fixed", "green"),
    Change.KNOWN: ("Known failures", "cyan"),
    Change.FLAKY: ("Flaky", "yellow"),
    Change.SLOWER: ("Slower", "yellow"),
    Change.INFRASTRUCTURE: ("Not passed because of the infrastructure", "magenta"),
    Change.NEVER_RAN: ("Never ran", "yellow"),
    Change.UNFINISHED: ("Not ended yet", "cyan"),
    Change.ADDED: ("Added", "bold"),
    Change.GONE: ("Gone", "bold"),
}
_BY_BUCKET: Final = (Change.NEW, Change.STILL_FAILING, Change.KNOWN, Change.INFRASTRUCTURE)
"""Changes that are shown by failure bucket. Of the others, only the ids are."""


def comparison_sections(comparison: Comparison, span_of: SpanOf, *, whole: bool) -> Iterator[Section]:
    """Yield the parts of the text of a comparison.

    Args:
        comparison: of two runs.
        span_of: see `SpanOf`.
        whole: whether all ids are shown.
    """
    yield Section(_head(comparison), [])
    for change, found in comparison.changes.items():
        if found:
            yield _section(change, found, comparison, span_of, whole=whole)
    yield Section(_counts(comparison), [])


def _head(comparison: Comparison) -> Line:
    run, base = comparison.run, comparison.base
    return (
        (f"{printable(run.suite)}: " if run.suite else "", "bold"),
        (f"{printable(run.name)} ({_about(run)})", "bold"),
        (f" compared with {printable(base.name)} ({_about(base)})", ""),
    )


def _about(run: RunHead) -> str:
    return f"{run.state}, {revision_text(run)}"


def revision_text(run: RunHead) -> str:
    """Return the revision of a run, for people."""
    if run.revision is None:
        return "revision unknown"
    return f"revision {printable(run.revision[:MAX_REVISION])}{'' if run.is_clean else ' with changes'}"


def _counts(comparison: Comparison) -> Line:
    parts = [f"{quantity(comparison.jobs, 'job')}: {comparison.passed} passed"]
    parts += [f"{len(found)} {change.value.replace('_', ' ')}" for change, found in comparison.changes.items() if found]
    return ((", ".join(parts), ""),)


def _section(
    change: Change, found: Sequence[Compared], comparison: Comparison, span_of: SpanOf, *, whole: bool
) -> Section:
    title, style = _TITLES[change]
    head: Line = ((f"{title} ({len(found)})", style),)
    if change in _BY_BUCKET:
        groups = sorted(_by_bucket(found).items(), key=lambda group: -sum(jobs for _, jobs in group[1]))
        return Section(
            head,
            [list(_bucket_lines(bucket, jobs, change, comparison, span_of, whole=whole)) for bucket, jobs in groups],
        )
    if change is Change.FLAKY:
        return Section(head, [[_job_line(each, flaky_text(each.judgement.flaky))] for each in found])
    if change is Change.SLOWER:
        return Section(head, [[_job_line(each, slower_text(each.judgement.slower))] for each in found])
    if whole:
        return Section(head, [[(("  ", ""), (printable(each.id), "bold"))] for each in found])
    return Section((*head, (f": {some_of([printable(each.id) for each in found[: MAX_IDS + 1]], MAX_IDS)}", "")), [])


def _by_bucket(found: Sequence[Compared]) -> dict[str | None, list[tuple[Compared, int]]]:
    """Return by failure bucket what has it, and how many jobs of each do."""
    groups: dict[str | None, list[tuple[Compared, int]]] = {}
    for each in found:
        for bucket, jobs in each.now.buckets.items() if each.now is not None else ():
            groups.setdefault(bucket, []).append((each, jobs))
    return groups


def _bucket_lines(
    bucket: str | None,
    members: Sequence[tuple[Compared, int]],
    change: Change,
    comparison: Comparison,
    span_of: SpanOf,
    *,
    whole: bool,
) -> Iterator[Line]:
    """Yield the lines of the failures of one bucket: its message, and since when it is there; then the jobs."""
    message = printable_start(bucket, MAX_MESSAGE) if bucket else "no message"
    total = sum(jobs for _, jobs in members)
    span = None if bucket is None else span_of(comparison.run.suite, bucket)
    is_older = span is not None and span.first.order < comparison.run.order
    seen = f"  first seen in {printable(span.first.name)}" if span is not None and is_older else ""
    yield ((f"  {total:4} x ", "bold red"), (message, ""), (seen, "dim"))
    if whole or len(members) == 1:
        for each, jobs in members:
            yield (("         ", ""), (printable(each.id), "bold"), (_notes(each, bucket, jobs, change), ""))
    else:
        ids = [printable(each.id) for each, _ in members[: MAX_IDS + 1]]
        yield (("         ", ""), (some_of(ids, MAX_IDS), "bold"))


def _notes(compared: Compared, bucket: str | None, jobs: int, change: Change) -> str:
    """Return what else is to be said of a test of which so many jobs fail with the message of a bucket."""
    judgement, now = compared.judgement, compared.now
    notes = []
    if now is not None and len(now.outcomes) > 1:
        such = (each.id for each in now.outcomes if each.standing is now.standing and each.bucket == bucket)
        notes.append(f"{jobs} of {len(now.outcomes)} jobs, such as {printable(next(such))}")
    if change is Change.STILL_FAILING:
        notes.append(failing_text(judgement))
        if compared.has_new_bucket:
            notes.append("also with another message than before")
    elif judgement.never_passed and now is not None and now.standing in FAILING:
        notes.append("never passed")
    if judgement.flaky is not None:
        notes.append("flaky")
    return f": {', '.join(notes)}" if notes else ""


def failing_text(judgement: Judgement) -> str:
    """Return for how long a test has been failing."""
    runs = f"for {quantity(judgement.failing, 'run')}"
    first, since = judgement.failing_since, ""
    if first is not None:
        since = f", since {printable(first.name)}{'' if first.revision is None else f' ({revision_text(first)})'}"
    return f"{'never passed, ' if judgement.never_passed else ''}failing {runs}{since}"


def flaky_text(flaky: Flakiness | None) -> str:
    """Return why a test is called flaky."""
    if flaky is None:
        return ""
    if flaky.revision is None:
        return f"passed after a failure in {printable(flaky.run)}"
    return f"passed and failed with revision {printable(flaky.revision[:MAX_REVISION])}, last in {printable(flaky.run)}"


def slower_text(slower: Slowness | None) -> str:
    """Return why a test is called slower."""
    if slower is None:
        return ""
    return f"{short_duration(slower.seconds)}; the median of {slower.passes} passes is {short_duration(slower.median)}"


def _job_line(compared: Compared, text: str) -> Line:
    return (("  ", ""), (printable(compared.id), "bold"), (f": {text}", ""))


def standing_text(standing: Standing) -> str:
    """Return a standing for people."""
    return standing.word.replace("_", " ")
