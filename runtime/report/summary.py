"""The summary of a run, as lines of styled pieces: counts, failures, buckets. Pure; `report.output` writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.job import JobResult, JobStatus
from runtime.job.counting import INFRASTRUCTURE, KNOWN, counted_as
from runtime.job.shorten import shorten, some_of
from runtime.report import counts
from runtime.report.bucket_rules import NO_RULES, BucketRules
from runtime.report.buckets import buckets, headline, is_consequence, is_of_backend
from runtime.report.counts import count_pieces
from runtime.report.reported_job import ReportedJob
from runtime.report.reproduce import reproduce
from runtime.report.text import path_text, printable, short_duration

Piece = tuple[str, str]
"""A text and its style, as rich writes styles; an empty one means no style."""
Line = tuple[Piece, ...]
"""The pieces of one line, without its end."""

MAX_FAILURES: Final = 20
"""Failures that are listed; the others are counted, and are in ``results.json``. Arbitrary: ten times more, and the
buckets scroll off the screen; ten times less hide failures that differ."""
MAX_BUCKETS: Final = 10
"""Buckets that are listed. Arbitrary: ten times more, and the counts scroll off the screen; one hides the others."""
MAX_FLAKY: Final = 10
"""Flaky jobs that are listed. Arbitrary, for the same reasons."""
MAX_LEFTOVERS: Final = 10
"""Jobs with leftover processes that are listed. Arbitrary, for the same reasons."""
MAX_KEPT: Final = 6
"""Jobs of another run that are named in a line. Arbitrary: ten times more would wrap over several lines."""
MAX_MESSAGE: Final = 160
"""Characters of a message in a line. Arbitrary: ten times more, and one message fills the screen; ten times less, and
it is cut before the cause."""

_WORDS: Final = {INFRASTRUCTURE: ("INFRA", counts.STYLES[INFRASTRUCTURE]), KNOWN: ("KNOWN", counts.STYLES[KNOWN])}
"""What is shown in place of the status of a job that is counted as that, and its style."""
STYLES: Final = {JobStatus.PASSED: "green", JobStatus.FAILED: "bold red", JobStatus.KILLED: "yellow"}


def summary(
    results: Sequence[JobResult[ReportedJob]],
    run_dir: Path,
    *,
    seconds: float | None,
    relative_to: Path,
    origins: Mapping[str, str] | None = None,
    rules: BucketRules = NO_RULES,
) -> list[Line]:
    """Return the lines of the summary of a run.

    Args:
        results: of all jobs.
        run_dir: the run's directory.
        seconds: how long the run took; `None` if that is not known.
        relative_to: the directory that paths are shown relative to.
        origins: id to the name of the run that the result is of, if that is another run.
        rules: the named rules of the job file, which put failures in buckets.
    """
    bad = sorted((result for result in results if result.status is not JobStatus.PASSED), key=_rank)
    known = [result for result in bad if result.known is not None]
    infrastructure = [result for result in bad if counted_as(result) == INFRASTRUCTURE]
    design = [result for result in bad if counted_as(result) not in (KNOWN, INFRASTRUCTURE)]
    lines: list[Line] = []
    # Apart, as they are looked at by different people. What concerns the design comes last, where the screen ends.
    lines += _failures("Known failures", known, relative_to)
    lines += _failures("Not passed because of the infrastructure", infrastructure, relative_to)
    lines += _buckets("Failures of the infrastructure by message", infrastructure, run_dir, relative_to, rules)
    lines += _failures("Not passed", design, relative_to)
    lines += _buckets("Failures by message", design, run_dir, relative_to, rules)
    lines += _flaky(results, relative_to)
    lines += _left_behind(results)
    lines += _kept(results, origins or {})
    return [*lines, counts_line(results, seconds)]


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
    head = f"{len(results)} {'job' if len(results) == 1 else 'jobs'}: "
    return ((head, ""), *pieces[1:], ("" if seconds is None else f", in {short_duration(seconds)}", ""))


def failure_line(result: JobResult[ReportedJob], relative_to: Path, message: str | None = None) -> Line:
    """Return the line of one job that did not pass: its status, id, `message` (by default its headline) and log."""
    message = shorten(printable(headline(result)), MAX_MESSAGE) if message is None else message
    if result.known is not None:
        message = f"{message} (known: {printable(result.known)})"
    word, style = _WORDS.get(counted_as(result), (result.status.name, STYLES[result.status]))
    pieces: list[Piece] = [
        ("NO RUN " if result.never_ran else f"{word:6} ", style),
        (printable(result.id), "bold"),
        (f": {message}" if message else "", ""),
    ]
    if result.log_path is not None and not is_consequence(result):  # else there is no log that would explain anything
        pieces.append((f"  {path_text(result.log_path, relative_to)}", "dim"))
    return tuple(pieces)


def _rank(result: JobResult[ReportedJob]) -> tuple[bool, bool]:
    """Return the sort key of a result: failed jobs come before killed ones, consequences last."""
    return is_consequence(result), result.status is JobStatus.KILLED


def _failures(title: str, bad: Sequence[JobResult[ReportedJob]], relative_to: Path) -> list[Line]:
    if not bad:
        return []
    lines: list[Line] = [((title, "bold"),)]
    before = None
    for result in bad[:MAX_FAILURES]:
        text = headline(result)
        message = "the same" if is_of_backend(result) and text == before else None
        before = text
        lines.append((("  ", ""), *failure_line(result, relative_to, message)))
    if len(bad) > MAX_FAILURES:
        lines.append(((f"  … and {len(bad) - MAX_FAILURES} more, in results.json", "dim"),))
    return [*lines, ()]


def _buckets(
    title: str, bad: Sequence[JobResult[ReportedJob]], run_dir: Path, relative_to: Path, rules: BucketRules
) -> list[Line]:
    found = buckets(bad, rules)
    if not found:
        return []
    lines: list[Line] = [((title, "bold"),)]
    for bucket in found[:MAX_BUCKETS]:
        example = bucket.example
        message = shorten(printable(bucket.message), MAX_MESSAGE)
        by = " (a rule of the job file)" if bucket.rule is not None else ""
        lines.append(((f"  {bucket.count:4} x ", "bold red"), (message, "bold" if by else ""), (by, "dim")))
        log = "" if example.log_path is None else f"  {path_text(example.log_path, relative_to)}"
        lines.append((("         such as ", "dim"), (printable(example.id), "bold"), (log, "dim")))
        again = reproduce(example, run_dir)
        # A command with control characters is not escaped but left out: copied to a shell, it would do something else.
        lines.append(
            (("         again:  ", "dim"), (again if again and again.isprintable() else "see results.json", ""))
        )
    if len(found) > MAX_BUCKETS:
        lines.append(((f"  … and {len(found) - MAX_BUCKETS} more messages", "dim"),))
    return [*lines, ()]


def _flaky(results: Sequence[JobResult[ReportedJob]], relative_to: Path) -> list[Line]:
    """Return the jobs that passed after a failure. Those that fail for that are among the failures."""
    found = [result for result in results if result.is_flaky and result.status is JobStatus.PASSED]
    if not found:
        return []
    lines: list[Line] = [(("Flaky: passed after a failure", "bold"),)]
    for result in found[:MAX_FLAKY]:
        last = result.earlier[-1]
        message = "" if last.reason is None else shorten(printable(last.reason.message), MAX_MESSAGE)
        log = "" if last.log_path is None else f"  {path_text(last.log_path, relative_to)}"
        what = f": passed on attempt {result.attempt}; on attempt {last.attempt}: {message}"
        lines.append((("  ", ""), (printable(result.id), "bold"), (what, ""), (log, "dim")))
    if len(found) > MAX_FLAKY:
        lines.append(((f"  … and {len(found) - MAX_FLAKY} more, in results.json", "dim"),))
    return [*lines, ()]


def _kept(results: Sequence[JobResult[ReportedJob]], origins: Mapping[str, str]) -> list[Line]:
    """Return a line for each other run whose results were kept."""
    by_run: dict[str, list[str]] = {}
    for result in results if origins else ():
        if result.id in origins:
            by_run.setdefault(origins[result.id], []).append(printable(result.id))
    return [
        ((f"kept of {printable(run)}: ", ""), (some_of(ids, MAX_KEPT), "bold")) for run, ids in sorted(by_run.items())
    ]


def _left_behind(results: Sequence[JobResult[ReportedJob]]) -> list[Line]:
    """Return the jobs that ended by themselves and left processes running, whose work no verdict covers."""
    found = [(result.id, result.usage.left_behind) for result in results if result.usage and result.usage.left_behind]
    if not found:
        return []
    lines: list[Line] = [
        (('Left processes running, which were killed (leftovers = "ignore" if they are meant to run)', "bold"),)
    ]
    for job_id, processes in found[:MAX_LEFTOVERS]:
        what = shorten(printable(", ".join(processes)), MAX_MESSAGE)
        lines.append((("  ", ""), (printable(job_id), "bold"), (f": {what}", "")))
    if len(found) > MAX_LEFTOVERS:
        lines.append(((f"  … and {len(found) - MAX_LEFTOVERS} more, in results.json", "dim"),))
    return [*lines, ()]
