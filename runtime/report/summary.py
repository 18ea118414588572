"""Lines of styled pieces about the results of a run: one job, all counts. Pure; `report.output` writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runtime.job import JobResult, JobStatus
from runtime.job.counting import INFRASTRUCTURE, KNOWN, counted_as
from runtime.report import counts
from runtime.report.buckets import headline, is_consequence
from runtime.report.counts import count_pieces
from runtime.report.reported_job import ReportedJob
from runtime.report.text import path_text, printable, printable_start, quantity, short_duration

Piece = tuple[str, str]
"""A text and its style, as rich writes styles; an empty one means no style."""
Line = tuple[Piece, ...]
"""The pieces of one line, without its end."""

MAX_MESSAGE: Final = 160
"""Characters of a message in a line. Arbitrary: ten times more, and one message fills the screen; ten times less, and
it is cut before the cause."""

_WORDS: Final = {INFRASTRUCTURE: ("INFRA", counts.STYLES[INFRASTRUCTURE]), KNOWN: ("KNOWN", counts.STYLES[KNOWN])}
"""What is shown in place of the status of a job that is counted as that, and its style."""
STYLES: Final = {JobStatus.PASSED: "green", JobStatus.FAILED: "bold red", JobStatus.KILLED: "yellow"}


def removed_line(count: int) -> Line:
    """Return the line that tells of the output directories that were removed."""
    what = "directory of 1 job" if count == 1 else f"directories of {count} jobs"
    return ((f"the output {what} that passed {'was' if count == 1 else 'were'} removed", "dim"),)


def counts_line(results: Sequence[JobResult[ReportedJob]], seconds: float | None) -> Line:
    """Return the last line of the summary: how many jobs ended in which way, and how long the run took."""
    pieces: list[Piece] = []
    for piece in count_pieces(Counter(map(counted_as, results))):
        pieces += [(", ", ""), piece]
    flaky = sum(result.is_flaky for result in results)
    if flaky:
        pieces.append((f", {flaky} of them flaky", "yellow"))
    head = f"{quantity(len(results), 'job')}: "
    return ((head, ""), *pieces[1:], ("" if seconds is None else f", in {short_duration(seconds)}", ""))


def failure_line(result: JobResult[ReportedJob], relative_to: Path, message: str | None = None) -> Line:
    """Return the line of one job that did not pass: its status, id, `message` (by default its headline) and log."""
    message = printable_start(headline(result), MAX_MESSAGE) if message is None else message
    if result.known is not None:
        message = f"{message} (known: {printable(result.known)})"
    word, style = _WORDS.get(counted_as(result), (result.status.name, STYLES[result.status]))
    pieces: list[Piece] = [
        (f"{'NEVER RAN' if result.never_ran else word:6} ", style),
        (printable(result.id), "bold"),
        (f": {message}" if message else "", ""),
    ]
    if result.log_path is not None and not is_consequence(result):  # else there is no log that would explain anything
        pieces.append((f"  {path_text(result.log_path, relative_to)}", "dim"))
    return tuple(pieces)
