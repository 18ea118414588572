"""``results.json``: all that is known of a run, for programs. A function of its journal, and of nothing else. Pure.

The run itself makes it of the records that it has written, and ``report`` makes it of the journal: it is the same text.
So times are computed from the whole microseconds that are in a journal. ``results.schema.json`` describes the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from runtime.job import JobCompletionEvent, JobUsage
from runtime.journal.columns import microseconds
from runtime.journal.json_text import JSON
from runtime.journal.records import Requested
from runtime.journal.replay import RunState
from runtime.journal.segments import Segment
from runtime.report import strict
from runtime.report.bucket_rules import BucketRules, rules_of
from runtime.report.buckets import Bucket, BucketCounter
from runtime.report.reproduce import reproduce
from runtime.report.run_results import KnownResult, count_ends, known_results

VERSION: Final = 2
"""The version of the format. It is increased when a key is removed or changes its meaning, not when one is added."""

RESULTS_NAME: Final = "results.json"
"""The name of the file in its run directory."""

_MICRO: Final = 1e6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def results_lines(state: RunState, *, is_live: bool = False) -> Iterator[str]:
    """Yield the text of ``results.json``, with one job per line, for ``grep`` and ``diff``.

    Args:
        state: of the run; its `run_dir` is an absolute path.
        is_live: whether a process runs the run. If none does, and the journal has no end, the run has died: a job that
            had not ended then is *killed*, with the reason that its end is not known.
    """
    head = strict.dumps(run_table(state, is_live=is_live), indent=1)
    yield head.removesuffix("\n}") + ',\n "jobs": ['
    separator = "\n  "
    segments = {id(segment): index for index, segment in enumerate(state.segments, 1)}
    counter = BucketCounter(rules_of_run(state))
    run_dir = Path(state.run_dir)
    for known in known_results(state, is_live=is_live):
        segment = None if known.segment is None else segments[id(known.segment)]
        key = None if known.result is None else counter.add(known.result)
        bucket = None if key is None else key.message
        yield separator + strict.dumps(job_table(known, segment, run_dir, bucket))
        separator = ",\n  "
    yield '\n ],\n "buckets": ['
    yield ",".join(f"\n  {strict.dumps(_bucket_table(bucket))}" for bucket in counter.buckets())
    yield "\n ]\n}\n"


def rules_of_run(state: RunState) -> BucketRules:
    """Return the named rules that put failures of the run in buckets: those of its last job file."""
    return rules_of(state.segments[-1].begin.details if state.segments else {})


def _bucket_table(bucket: Bucket) -> dict[str, object]:
    """Return the entry of a failure bucket."""
    return {
        "message": bucket.message,
        "rule": bucket.rule,
        "count": bucket.count,
        "shortest": bucket.example.id,
    }


def run_table(state: RunState, *, is_live: bool) -> dict[str, object]:
    """Return the content of ``results.json`` without its jobs and buckets: see `job_table`."""
    first = state.segments[0] if state.segments else None
    last = state.segments[-1] if state.segments else None
    details = {} if first is None else first.begin.details
    started = None if first is None else microseconds(first.begin.at)
    ended = None if last is None or is_live else _end(last)
    return {
        "version": VERSION,
        "run": state.run_dir.rpartition("/")[2],
        "name": _text(details.get("name")),
        "state": run_state(state, is_live=is_live),
        "command": _texts(details.get("command")),
        "directory": _text(details.get("directory")),
        "run_dir": state.run_dir,
        "seed_base": _whole(details.get("seed_base")),
        "started": time_text(started),
        "ended": time_text(ended),
        "seconds": _seconds(started, ended),
        "stopped_by": None if last is None else last.stopped_by,
        "counts": count_ends(state, is_live=is_live),
        "segments": [_segment_table(segment, state.ids) for segment in state.segments],
    }


def run_state(state: RunState, *, is_live: bool) -> str:
    """Return ``running``, ``ended``, or ``died`` for a run that no process runs and whose journal has no end."""
    return "running" if is_live else "ended" if state.is_complete else "died"


def _segment_table(segment: Segment, ids: Sequence[str]) -> dict[str, object]:
    begin = segment.begin
    started, ended = microseconds(begin.at), _end(segment)
    return {
        "command": _texts(begin.details.get("command")),
        "host": begin.host,
        "pid": begin.pid,
        "started": time_text(started),
        "ended": time_text(ended),
        "seconds": _seconds(started, ended),
        "stopped_by": segment.stopped_by,
        "kept": segment.kept,
        "requests": [_request_table(request, segment, ids) for request in segment.requests],
    }


def _request_table(request: Requested, segment: Segment, ids: Sequence[str]) -> dict[str, object]:
    """Return the entry of what somebody asked for during a segment."""
    return {
        "at": time_text(microseconds(segment.begin.epoch) + microseconds(request.at)),
        "by": request.by,
        "action": request.action,
        "jobs": [ids[number] for number in request.jobs if 0 <= number < len(ids)],  # a job can write a journal
        "force": bool(request.force),
        "resource": request.resource,
        "limit": request.limit,
    }


def job_table(known: KnownResult, segment: int | None, run_dir: Path, bucket: str | None) -> dict[str, object]:
    """Return the entry of one job.

    Args:
        known: what is known of it.
        segment: the number of the segment in which it ended, from 1, if that is known.
        run_dir: the run directory.
        bucket: the message of the failure bucket that it is in, if it is in one.
    """
    job, result = known.job, known.result
    reason = None if result is None else result.reason
    epoch = 0 if known.segment is None else microseconds(known.segment.begin.epoch)
    submitted = started = ended = None
    if result is not None and known.is_recorded:
        submitted, started, ended = (
            None if each is None else epoch + microseconds(each)
            for each in (result.submitted, result.started, result.ended)
        )
    usage = None if result is None else result.usage
    return {
        "id": job.id,
        "name": job.name,
        "status": known.status.name.lower(),
        "kind": reason.kind.value if reason is not None and reason.kind is not None else None,
        "class": None if result is None or result.failure_class is None else result.failure_class.value,
        "cause": None if reason is None or reason.cause is None else reason.cause.value,
        "known": None if reason is None else reason.known,
        "message": None if reason is None else reason.message,
        "bucket": bucket,
        "lines": None if reason is None or reason.lines is None else list(reason.lines),
        "context": None if reason is None or reason.context is None else list(reason.context),
        "seed": job.seed,
        "tags": list(job.tags),
        "never_ran": result is not None and result.never_ran,
        "attempt": known.attempt,
        "flaky": result is not None and result.is_flaky,
        "earlier": [_earlier_table(event) for event in known.earlier],
        "segment": segment,
        "origin": known.origin,
        "submitted": time_text(submitted),
        "started": time_text(started),
        "ended": time_text(ended),
        "queue_seconds": _seconds(submitted, started),
        "run_seconds": _seconds(started, ended),
        "usage": None if usage is None else _usage_table(usage),
        "odir": None if result is None else result.odir,
        "log": None if result is None else result.log_path,
        "removed": known.removed,
        "command": None if result is None else reproduce(result, run_dir) or None,
    }


def _earlier_table(event: JobCompletionEvent) -> dict[str, object]:
    """Return the entry of an attempt that did not pass, and after which the job was tried again."""
    return {
        "attempt": event.attempt,
        "status": event.status.name.lower(),
        "kind": None if event.kind is None else event.kind.value,
        "class": None if event.failure_class is None else event.failure_class.value,
        "message": None if event.reason is None else event.reason.message,
        "odir": event.odir,
        "log": event.log_path,
    }


def _usage_table(usage: JobUsage) -> dict[str, object]:
    cpu = usage.cpu_seconds
    return {
        "cpu_seconds": None if cpu is None else microseconds(cpu) / _MICRO,
        "peak_bytes": usage.peak_bytes,
        "exit_code": usage.exit_code,
        "signal": usage.signal,
        "job_runtime": None if usage.job_runtime is None else float(usage.job_runtime),
        "simulated_time": None if usage.simulated_time is None else float(usage.simulated_time),
        "left_behind": None if usage.left_behind is None else list(usage.left_behind),
    }


def _end(segment: Segment) -> int | None:
    """Return the wall time at which a segment ended, in microseconds; `None` if it did not end in order."""
    return None if segment.end is None else microseconds(segment.begin.epoch) + microseconds(segment.end.at)


def _seconds(since: int | None, until: int | None) -> float | None:
    return None if since is None or until is None else (until - since) / _MICRO


def time_text(micros: int | None) -> str | None:
    """Return microseconds since 1970 as ISO 8601, in UTC, with milliseconds; `None` for what no calendar has."""
    if micros is None:
        return None
    try:
        time = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# The details of a journal are what its writer put there, so nothing about their classes is certain.


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: JSON) -> Sequence[str] | None:
    if not isinstance(value, list | tuple):
        return None
    return [each for each in value if isinstance(each, str)]


def _whole(value: JSON) -> int | None:
    return value if type(value) is int else None
