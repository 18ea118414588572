"""The lines of a log that explain a failure, with their numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from runtime.job import JobStatusInfo
from runtime.job.shorten import shorten
from runtime.report.text import printable_line

MAX_LINE: Final = 400
"""Characters of a line. Arbitrary: a line of a log is read in one look, and the log has the rest."""


class ExcerptLine(NamedTuple):
    """A line of an excerpt."""

    number: int | None
    """Its number in the log, from 1; `None` if that is not known."""
    text: str
    """Printable, with its tabs."""
    failing: int
    """1 if it is the line that explains the failure, or else the one that failed; 0 for all others."""


def excerpt(reason: JobStatusInfo | None) -> Sequence[ExcerptLine]:
    """Return the lines of the log that the reason of a failure has."""
    if reason is None or not reason.context:
        return ()
    failing: int | None = None
    numbers: list[int] = []
    for each in reason.lines or ():
        if isinstance(each, int):
            failing = each if failing is None else failing
        elif len(numbers) < len(reason.context):  # a job can write a journal: the range may have any size
            first, last = each
            numbers += range(first, min(last, first + len(reason.context)) + 1)
    if len(numbers) != len(reason.context):
        return tuple(ExcerptLine(None, _beginning(text), 0) for text in reason.context)
    return tuple(
        ExcerptLine(number, _beginning(text), int(number == failing))
        for number, text in zip(numbers, reason.context, strict=True)
    )


def around_failure(lines: Sequence[ExcerptLine], most: int) -> Sequence[ExcerptLine]:
    """Return at most `most` lines of an excerpt: those around the one that failed, or else the last ones."""
    failing = next((index for index, line in enumerate(lines) if line.failing), len(lines))
    first = max(0, min(failing - most // 2, len(lines) - most))
    return lines[first : first + most]


def _beginning(text: str) -> str:
    """Return a line as `printable_line`, or its beginning. Of a line of megabytes nothing else is looked at."""
    return shorten(printable_line(shorten(text, MAX_LINE)), MAX_LINE)
