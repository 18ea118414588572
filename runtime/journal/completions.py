"""Completions as the columns of an `Ended`, and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from runtime.job import JobCompletionEvent, JobPaths, JobStatusInfo, JobUsage
from runtime.journal.paths import absolute, relative
from runtime.journal.records import Ended, OutputIdentity

_NO_USAGE: Final = JobUsage()
_NO_REASON: Final = (None,) * 6
_OF_REASON: Final = ("messages", "kinds", "lines", "contexts", "causes", "known")
"""The columns that a reason becomes."""


def ended(
    jobs: Sequence[int],
    events: Sequence[JobCompletionEvent],
    run_dir: str,
    outputs: Sequence[OutputIdentity | None] | None = None,
    *,
    again: bool = False,
) -> Ended:
    """Return the record of these completions.

    Args:
        jobs: the numbers of the jobs of `events`, in the same order.
        events: the completions, of which there is at least one.
        run_dir: the run directory; paths below it are written relative to it.
        outputs: for each job that passed, what identifies its output, if it is known; `None` for none at all.
        again: whether the jobs are tried again.
    """
    columns: dict[str, Any] = {}  # `Any`: one class of values for each column
    reasons = [each.reason for each in events]
    if any(reasons):
        columns |= _reasons(reasons)
    usages = [each.usage for each in events]
    if any(usages):
        columns |= _usages([usage or _NO_USAGE for usage in usages])
    paths = [each.paths for each in events]
    if any(paths):
        columns |= _files(paths, run_dir)
    if outputs is not None and any(outputs):
        known = [(None, None, None) if each is None else each for each in outputs]
        columns |= zip(("devices", "inodes", "log_sizes"), map(list, zip(*known, strict=True)), strict=True)
    return Ended(
        jobs=jobs,
        attempts=[each.attempt for each in events],
        statuses=[each.status for each in events],
        submitted=[each.submitted for each in events],
        started=[each.started for each in events],
        ended=[each.ended for each in events],
        again=again or None,
        **columns,
    )


def _reasons(reasons: Sequence[JobStatusInfo | None]) -> Iterable[tuple[str, object]]:
    fields = [
        _NO_REASON
        if reason is None
        else (reason.message, reason.kind, reason.lines, reason.context, reason.cause, reason.known)
        for reason in reasons
    ]
    return zip(_OF_REASON, map(list, zip(*fields, strict=True)), strict=True)


def _usages(usages: Sequence[JobUsage]) -> dict[str, object]:
    return {
        "cpu_seconds": [usage.cpu_seconds for usage in usages],
        "peak_bytes": [usage.peak_bytes for usage in usages],
        "exit_codes": [usage.exit_code for usage in usages],
        "signals": [usage.signal for usage in usages],
        "job_runtimes": [usage.job_runtime for usage in usages],
        "simulated_times": [usage.simulated_time for usage in usages],
        "left_behind": [usage.left_behind for usage in usages],
    }


def _files(paths: Sequence[JobPaths | None], run_dir: str) -> dict[str, object]:
    odirs: list[str | None] = []
    logs: list[str | None] = []
    cwds: list[str | None] = []
    name = ""  # of the last log
    for each in paths:
        if each is None:
            odirs.append(None)
            logs.append(None)
            cwds.append(None)
            continue
        odir = each.odir
        odirs.append(relative(odir, run_dir))
        # Most logs have the name of the last one, and most jobs run in their output directory: two calls less.
        if each.log != f"{odir}/{name}":
            log = relative(each.log, odir)
            name = "" if log[:1] in {"", "/", "."} else log
        else:
            log = name
        logs.append(log)
        cwds.append("." if each.cwd == odir else relative(each.cwd, odir))
    return {"odirs": odirs, "logs": logs, "cwds": cwds}


def completion(record: Ended, row: int, job_id: str, run_dir: str) -> JobCompletionEvent:
    """Return the completion in a row of a record, for the job `job_id`.

    It equals the event that `ended` was given, except that its times are whole microseconds, lines and texts are in
    tuples, and a usage of which nothing is known is `None`.
    """
    message = record.messages[row]
    usage = JobUsage(
        record.cpu_seconds[row],
        record.peak_bytes[row],
        record.exit_codes[row],
        record.signals[row],
        record.job_runtimes[row],
        record.simulated_times[row],
        record.left_behind[row],
    )
    return JobCompletionEvent(
        job_id,
        record.attempts[row],
        record.statuses[row],
        None
        if message is None
        else JobStatusInfo(
            message,
            record.lines[row],
            record.contexts[row],
            record.kinds[row],
            record.causes[row],
            record.known[row],
        ),
        record.submitted[row],
        record.started[row],
        record.ended[row],
        None if usage == _NO_USAGE else usage,
        paths_in(record, row, run_dir),
    )


def shifted(event: JobCompletionEvent, seconds: float) -> JobCompletionEvent:
    """Return a completion, and its earlier ones, with times on a clock that was set back by `seconds`."""
    if not seconds:
        return event
    return attrs.evolve(
        event,
        submitted=event.submitted + seconds,
        started=None if event.started is None else event.started + seconds,
        ended=event.ended + seconds,
        earlier=tuple(shifted(each, seconds) for each in event.earlier),
    )


def output(record: Ended, row: int) -> OutputIdentity | None:
    """Return what identifies the output of the job in a row of a record, if it is known."""
    device, inode = record.devices[row], record.inodes[row]
    return None if device is None or inode is None else OutputIdentity(device, inode, record.log_sizes[row])


def paths_in(record: Ended, row: int, run_dir: str) -> JobPaths | None:
    """Return where the files are of the job in a row of a record, if that is known."""
    odir, log, cwd = record.odirs[row], record.logs[row], record.cwds[row]
    if odir is None or log is None or cwd is None:
        return None
    odir = absolute(odir, run_dir)
    return JobPaths(odir, absolute(log, odir), absolute(cwd, odir))
