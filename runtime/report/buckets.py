"""Failure buckets: failures with one cause are counted together. Pure.

The bucket of a failure is a function of its reason and of the job file's rules, so all views agree: terminal,
``results.json``, whatever else is made of a journal. The first rule that matches gives its name to the bucket. Without
one, failures whose explanations are equal when they are normalised are in one bucket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import attrs

from runtime.job import FailureKind, JobResult, JobStatus, JobStatusInfo
from runtime.report.bucket_rules import NO_RULES, BucketRules
from runtime.report.normalise import normalise
from runtime.report.reported_job import ReportedJob
from runtime.report.whole_message import whole_message
from runtime.verdict.explaining import is_of_end_report
from runtime.verdict.explaining_judge import explaining_index

_QUOTED: Final = 150
"""Characters of a line by which it is recognised in a message that quotes it. Less than verdicts quote of a line."""

# Failures that the log explains better than the reason does.
_EXPLAINED_BY_LOG: Final = (
    FailureKind.EXIT_CODE,
    FailureKind.SIGNAL,
    FailureKind.FAIL_PATTERN,
    FailureKind.PASS_PATTERN_MISSING,
)
# Failures of which the log says what was going on: the reason belongs to the message.
_DESCRIBED_BY_LOG: Final = (FailureKind.TIMEOUT, FailureKind.IDLE)


@attrs.frozen
class BucketKey:
    """Which bucket a failure is in."""

    message: str
    """The name of the rule that matches, or the normalised explanation."""
    rule: str | None = None
    """The name of the rule, if one matches."""


@attrs.frozen
class Bucket:
    """Failures of one bucket."""

    message: str
    """As `BucketKey.message`."""
    rule: str | None
    """As `BucketKey.rule`."""
    count: int
    """How many failures there are."""
    example: JobResult[ReportedJob]
    """The one with the shortest run time, of several the first in the order of their ids."""


def headline(result: JobResult[ReportedJob]) -> str:
    """Return the message of a failure, for people: its reason, and the line of the log that explains it."""
    return "" if result.reason is None else headline_of(result.reason)


def headline_of(reason: JobStatusInfo) -> str:
    """Return the message of a failure with this reason: see `headline`."""
    return _headline(reason, _explaining_index(reason))


def bucket_of(reason: JobStatusInfo, rules: BucketRules = NO_RULES) -> BucketKey:
    """Return which bucket a failure with this reason is in."""
    if rules and (name := rules.name_of((reason.message, *(reason.context or ())))) is not None:
        return BucketKey(name, name)
    return BucketKey(normalise(_explanation(reason)))


def bucket_of_result(result: JobResult[ReportedJob], rules: BucketRules = NO_RULES) -> BucketKey | None:
    """Return which bucket a result is in; `None` for one that is in none.

    One that passed is in none, nor is a consequence: a job that did not run because another one failed, or because the
    run was stopped.
    """
    if result.status is JobStatus.PASSED or is_consequence(result):
        return None
    return BucketKey("") if result.reason is None else bucket_of(result.reason, rules)


class BucketCounter:
    """Counts the failures of each bucket, one result after the other.

    Args:
        rules: of the job file.
    """

    def __init__(self, rules: BucketRules = NO_RULES) -> None:
        self._rules = rules
        self._found: dict[BucketKey, tuple[int, JobResult[ReportedJob]]] = {}

    def add(self, result: JobResult[ReportedJob]) -> BucketKey | None:
        """Count a result, and return its bucket: see `bucket_of_result`."""
        if (key := bucket_of_result(result, self._rules)) is None:
            return None
        count, example = self._found.get(key, (0, result))
        self._found[key] = count + 1, min(example, result, key=_rank)
        return key

    def buckets(self) -> list[Bucket]:
        """Return the buckets, the largest first."""
        found = [Bucket(key.message, key.rule, count, example) for key, (count, example) in self._found.items()]
        return sorted(found, key=lambda bucket: -bucket.count)


def buckets(results: Iterable[JobResult[ReportedJob]], rules: BucketRules = NO_RULES) -> list[Bucket]:
    """Return the buckets of the results that did not pass, the largest first: see `BucketCounter`."""
    counter = BucketCounter(rules)
    for result in results:
        counter.add(result)
    return counter.buckets()


def shortest_of_each(results: Iterable[JobResult[ReportedJob]], rules: BucketRules = NO_RULES) -> set[str]:
    """Return the ids of the examples of the buckets."""
    return {bucket.example.id for bucket in buckets(results, rules)}


def _rank(result: JobResult[ReportedJob]) -> tuple[float, str]:
    """Return the sort key by which the first result of a bucket is its example: unknown run times come last."""
    return math.inf if result.started is None else result.ended - result.started, result.id


def is_consequence(result: JobResult[ReportedJob]) -> bool:
    """Whether a job did not pass only because of something else: another job, or a stop."""
    return result.reason is not None and result.reason.kind in (FailureKind.DEPENDENCY, FailureKind.CANCELLED)


def is_of_backend(result: JobResult[ReportedJob]) -> bool:
    """Whether a job never ran because its backend failed, which is then the reason of all jobs of that backend."""
    return result.never_ran and result.reason is not None and result.reason.kind is FailureKind.BACKEND_ERROR


def _explanation(reason: JobStatusInfo) -> str:
    """Return the text that is normalised."""
    kind, context = reason.kind, reason.context or ()
    index = _explaining_index(reason)
    if index is None:
        return _headline(reason, None)
    message = whole_message(context, index)
    if kind in _DESCRIBED_BY_LOG:
        return f"{reason.message.partition(';')[0]}: {message}"
    # What the log shows of the infrastructure has its kind. Otherwise one cause may end in an exit code or a signal.
    return message if _is_told_by_log(reason) else f"{kind}: {message}"


def _headline(reason: JobStatusInfo, index: int | None) -> str:
    if not _is_told_by_log(reason):
        return reason.message
    context = reason.context or ()
    line = ""
    if index is not None:
        line = context[index].strip()
    elif reason.kind is not FailureKind.FAIL_PATTERN and _first_number(reason) is None:
        written = (line for line in reversed(context) if line.strip())
        line = next((line.strip() for line in written if not is_of_end_report(line)), "")
    return reason.message if not line or line[:_QUOTED] in reason.message else f"{reason.message}: {line}"


def _is_told_by_log(reason: JobStatusInfo) -> bool:
    """Whether a line of the log belongs to the message."""
    if reason.kind is not None:
        return reason.kind in _EXPLAINED_BY_LOG or reason.kind in _DESCRIBED_BY_LOG
    # Of a legacy launcher: those of DVSim quote the line that a fail pattern matches, and nothing of an exit code.
    return not any(reason.message in line for line in reason.context or ())


def _first_number(reason: JobStatusInfo) -> int | None:
    """Return the number of the line that explains a failure, or that failed, if its reason has one."""
    first = next(iter(reason.lines or ()), None)
    return first if isinstance(first, int) else None


def _explaining_index(reason: JobStatusInfo) -> int | None:
    """Return the index in the context of the line that explains a failure; `None` if none does."""
    context, number = reason.context or (), _first_number(reason)
    if number is None or reason.kind is None:
        return explaining_index(context) if context and _is_told_by_log(reason) else None
    index = 0
    for pair in reason.lines or ():
        if isinstance(pair, int):
            continue
        begin, end = pair
        if begin <= number <= end:
            index += number - begin
            return index if 0 <= index < len(context) else None
        index += end - begin + 1
    return None
