"""Failure buckets: failures that say the same, but for numbers, paths and the like, are one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import attrs

from runtime.job import FailureKind, JobResult, JobStatus
from runtime.job.shorten import shorten

MAX_LENGTH: Final = 300
"""Characters of a message that are looked at. Arbitrary."""

# In this order: a path may hold numbers, an address is a number.
_VARYING: Final = (
    (re.compile(r"(?<![\w./])(?:\.{0,2}/)[^\s:;,'\"()]+"), "<path>"),
    (re.compile(r"\b[\w-]+(?:/[\w.=-]+)+"), "<path>"),
    (re.compile(r"\b(?:0[xX]|[0-9]*'[hH])[0-9a-fA-F_xXzZ]+\b"), "<hex>"),
    (re.compile(r"\b(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{6,}\b"), "<hex>"),
    (re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"), "<n>"),
)

# Failures of which the reason alone says little.
_SAID_BY_THE_TAIL: Final = (
    FailureKind.EXIT_CODE,
    FailureKind.SIGNAL,
    FailureKind.PASS_PATTERN_MISSING,
    FailureKind.TIMEOUT,
)


@attrs.frozen
class Bucket:
    """Failures of one message."""

    message: str
    """What they have in common."""
    count: int
    example: JobResult
    """The first of them."""


def normalise(message: str) -> str:
    """Return a message with paths, addresses and numbers, seeds among them, replaced by a word for each."""
    message = shorten(message, MAX_LENGTH)
    for pattern, word in _VARYING:
        message = pattern.sub(word, message)
    return " ".join(message.split())


def headline(result: JobResult) -> str:
    """Return what a failure says: its reason, and where that says little, the last line of the log."""
    reason = result.reason
    if reason is None:
        return ""
    if reason.kind not in _SAID_BY_THE_TAIL or any(isinstance(line, int) for line in reason.lines or ()):
        return reason.message  # it quotes the line that matters
    last = next((line.strip() for line in reversed(reason.context or ()) if line.strip()), "")
    return f"{reason.message}: {last}" if last else reason.message


def buckets(results: Iterable[JobResult]) -> list[Bucket]:
    """Return the buckets of the results that did not pass, the largest first.

    Jobs that never ran for want of another, or because the run was stopped, are consequences and in no bucket.
    """
    found: dict[str, tuple[int, JobResult]] = {}
    for result in results:
        if result.status is JobStatus.PASSED or is_consequence(result):
            continue
        message = normalise(headline(result))
        count, example = found.get(message, (0, result))
        found[message] = (count + 1, example)
    return sorted((Bucket(message, *rest) for message, rest in found.items()), key=lambda bucket: -bucket.count)


def is_consequence(result: JobResult) -> bool:
    """Whether a job did not pass only because of something else: another job, or a stop."""
    return result.reason is not None and result.reason.kind in (FailureKind.DEPENDENCY, FailureKind.CANCELLED)


def is_of_backend(result: JobResult) -> bool:
    """Whether a job never ran for a reason of its backend's, which is that of all jobs that this had."""
    return result.never_ran and result.reason is not None and result.reason.kind is FailureKind.BACKEND_ERROR
