"""The summary of a run, as lines of styled pieces: counts, failures, buckets. Pure; `report.output` shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from runtime.job import JobResult, JobStatus
from runtime.job.shorten import shorten
from runtime.report.buckets import buckets, headline, is_consequence, is_of_backend
from runtime.report.counts import count_pieces, end_of
from runtime.report.reproduce import log_path, reproduce
from runtime.report.text import printable, short_duration

Piece = tuple[str, str]
"""A text, and its style in rich's words; an empty style is none."""
Line = tuple[Piece, ...]

MAX_FAILURES: Final = 20
"""Failures in the table; the rest are counted, and are in ``results.json``. Arbitrary."""
MAX_BUCKETS: Final = 10
MAX_LEFTOVERS: Final = 10
"""Jobs that left processes running, by name. Arbitrary."""
MAX_MESSAGE: Final = 160
"""Characters of a message in one line."""

STYLES: Final = {JobStatus.PASSED: "green", JobStatus.FAILED: "bold red", JobStatus.KILLED: "yellow"}


def summary(results: Sequence[JobResult], run_dir: Path, *, seconds: float, beside: Path | None = None) -> list[Line]:
    """Return the lines of a summary.

    Args:
        results: of all jobs.
        run_dir: the run's directory.
        seconds: how long the run took.
        beside: the directory that paths are shown relative to; `None` for absolute ones.
    """
    bad = sorted((result for result in results if result.status is not JobStatus.PASSED), key=_badness)
    lines: list[Line] = []
    if bad:
        lines += _failures(bad, run_dir, beside)
        lines += _buckets(bad, run_dir, beside)
    lines += _left_behind(results)
    return [*lines, counts_line(results, seconds)]


def counts_line(results: Sequence[JobResult], seconds: float) -> Line:
    """Return the one line that says it all."""
    pieces: list[Piece] = []
    for piece in count_pieces(Counter(map(end_of, results))):
        pieces += [(", ", ""), piece]
    head = f"{len(results)} {'job' if len(results) == 1 else 'jobs'}: "
    return ((head, ""), *pieces[1:], (f", in {short_duration(seconds)}", ""))


def failure_line(result: JobResult, run_dir: Path, beside: Path | None = None, said: str | None = None) -> Line:
    """Return the line of one job that did not pass: its status, id, reason (or what is `said` instead) and log."""
    job: Any = result.job
    said = shorten(printable(headline(result)), MAX_MESSAGE) if said is None else said
    pieces: list[Piece] = [
        ("NO RUN " if result.never_ran else f"{result.status.name:6} ", STYLES[result.status]),
        (printable(result.id), "bold"),
        (f": {said}" if said else "", ""),
    ]
    if result.attempt and not is_consequence(result):
        pieces.append((f"  {_shown(log_path(job, run_dir), beside)}", "dim"))
    return tuple(pieces)


def _badness(result: JobResult) -> tuple[bool, bool]:
    """Failures go before killed jobs, and consequences after all."""
    return is_consequence(result), result.status is JobStatus.KILLED


def _failures(bad: Sequence[JobResult], run_dir: Path, beside: Path | None) -> list[Line]:
    lines: list[Line] = [(("Not passed", "bold"),)]
    before = None
    for result in bad[:MAX_FAILURES]:
        message = headline(result)
        said = "the same" if is_of_backend(result) and message == before else None
        before = message
        lines.append((("  ", ""), *failure_line(result, run_dir, beside, said)))
    if len(bad) > MAX_FAILURES:
        lines.append(((f"  … and {len(bad) - MAX_FAILURES} more, in results.json", "dim"),))
    return [*lines, ()]


def _buckets(bad: Sequence[JobResult], run_dir: Path, beside: Path | None) -> list[Line]:
    found = buckets(bad)
    if not found:
        return []
    lines: list[Line] = [(("Failures by message", "bold"),)]
    for bucket in found[:MAX_BUCKETS]:
        job: Any = bucket.example.job
        lines.append(
            ((f"  {bucket.count:4} x ", "bold red"), (shorten(printable(bucket.message), MAX_MESSAGE), "")),
        )
        log = f"  {_shown(log_path(job, run_dir), beside)}" if bucket.example.attempt else ""
        lines.append((("         such as ", "dim"), (printable(bucket.example.id), "bold"), (log, "dim")))
        again = reproduce(job, run_dir)
        # Escaped it would be safe to look at and wrong to copy.
        lines.append((("         again:  ", "dim"), (again if again.isprintable() else "see results.json", "")))
    if len(found) > MAX_BUCKETS:
        lines.append(((f"  … and {len(found) - MAX_BUCKETS} more messages", "dim"),))
    return [*lines, ()]


def _left_behind(results: Sequence[JobResult]) -> list[Line]:
    """Return which jobs ended by themselves and left processes running: what those did has no verdict."""
    found = [(result.id, result.usage.left_behind) for result in results if result.usage and result.usage.left_behind]
    if not found:
        return []
    lines: list[Line] = [
        (('Left processes running, which were killed (leftovers = "ignore" if that is meant)', "bold"),)
    ]
    for job_id, processes in found[:MAX_LEFTOVERS]:
        what = shorten(printable(", ".join(processes)), MAX_MESSAGE)
        lines.append((("  ", ""), (printable(job_id), "bold"), (f": {what}", "")))
    if len(found) > MAX_LEFTOVERS:
        lines.append(((f"  … and {len(found) - MAX_LEFTOVERS} more, in results.json", "dim"),))
    return [*lines, ()]


def _shown(path: Path, beside: Path | None) -> str:
    if beside is not None and path.is_relative_to(beside):
        path = path.relative_to(beside)
    return printable(str(path))
