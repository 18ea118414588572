"""Failure buckets: failures whose messages differ only in numbers, paths and the like are counted together. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final

import attrs

from runtime.job import FailureKind, JobResult, JobStatus, JobStatusInfo
from runtime.job.shorten import shorten
from runtime.report.reported_job import ReportedJob

MAX_LENGTH: Final = 300
"""Characters of a message that are compared. Arbitrary: ten times more, and differences far behind the cause would make
two buckets of one; ten times less, and different failures would look alike."""

# In this order: a path may contain numbers, and an address is a number too.
_VARYING: Final = (
    (re.compile(r"(?<![\w./])(?:\.{0,2}/)[^\s:;,'\"()]+"), "<path>"),
    (re.compile(r"\b[\w-]+(?:/[\w.=-]+)+"), "<path>"),
    (re.compile(r"\b(?:0[xX]|[0-9]*'[hH])[0-9a-fA-F_xXzZ]+\b"), "<hex>"),
    (re.compile(r"\b(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{6,}\b"), "<hex>"),
    (re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"), "<n>"),
)

# Failures that the last line of the log explains better than the reason does.
_EXPLAINED_BY_TAIL: Final = (
    FailureKind.EXIT_CODE,
    FailureKind.SIGNAL,
    FailureKind.PASS_PATTERN_MISSING,
    FailureKind.TIMEOUT,
)


@attrs.frozen
class Bucket:
    """Failures whose normalised messages are equal."""

    message: str
    """The normalised message."""
    count: int
    """How many failures there are."""
    example: JobResult[ReportedJob]
    """The first of them."""


def normalise(message: str) -> str:
    """Return a message with paths, addresses and numbers (such as seeds) replaced by ``<path>``, ``<hex>``, ``<n>``."""
    message = shorten(message, MAX_LENGTH)
    for pattern, word in _VARYING:
        message = pattern.sub(word, message)
    return " ".join(message.split())


def headline(result: JobResult[ReportedJob]) -> str:
    """Return the message of a failure: its reason, and where that explains little, the last line of the log as well."""
    return "" if result.reason is None else headline_of(result.reason)


def headline_of(reason: JobStatusInfo) -> str:
    """Return the message of a failure with this reason: see `headline`."""
    # A single line number is that of a failing line, which the message quotes already.
    if reason.kind not in _EXPLAINED_BY_TAIL or any(isinstance(line, int) for line in reason.lines or ()):
        return reason.message
    last = next((line.strip() for line in reversed(reason.context or ()) if line.strip()), "")
    return f"{reason.message}: {last}" if last else reason.message


def buckets(results: Iterable[JobResult[ReportedJob]]) -> list[Bucket]:
    """Return the buckets of the results that did not pass, the largest first.

    Jobs that did not run because another job failed, or because the run was stopped, are consequences and in no bucket.
    """
    found = [Bucket(message, len(members), members[0]) for message, members in _members(results).items()]
    return sorted(found, key=lambda bucket: -bucket.count)


def shortest_of_each(results: Iterable[JobResult[ReportedJob]]) -> set[str]:
    """Return of each bucket the id of the job with the shortest run time, of several the first id in their order.

    One whose run time is not known comes after all others.
    """
    return {min(map(_rank, members))[1] for members in _members(results).values()}


def _rank(result: JobResult[ReportedJob]) -> tuple[float, str]:
    return math.inf if result.started is None else result.ended - result.started, result.id


def _members(results: Iterable[JobResult[ReportedJob]]) -> dict[str, list[JobResult[ReportedJob]]]:
    """Return the failures of each bucket, by its message."""
    found: dict[str, list[JobResult[ReportedJob]]] = {}
    for result in results:
        if result.status is not JobStatus.PASSED and not is_consequence(result):
            found.setdefault(normalise(headline(result)), []).append(result)
    return found


def is_consequence(result: JobResult[ReportedJob]) -> bool:
    """Whether a job did not pass only because of something else: another job, or a stop."""
    return result.reason is not None and result.reason.kind in (FailureKind.DEPENDENCY, FailureKind.CANCELLED)


def is_of_backend(result: JobResult[ReportedJob]) -> bool:
    """Whether a job never ran because its backend failed, which is then the reason of all jobs of that backend."""
    return result.never_ran and result.reason is not None and result.reason.kind is FailureKind.BACKEND_ERROR
