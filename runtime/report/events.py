"""The events of a run as lines of JSON: what its journal says, one event per line, in the order in which it happened.

A journal has columns, numbers in place of ids, and times of its own clock: it is made to be written fast. Here each
line stands for itself. It is a function of the journal's records, so a run that is being written has lines for what is
on disk. ``events.schema.json`` describes them. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from runtime.job import JobCompletionEvent
from runtime.job.status import PASSED
from runtime.journal.columns import microseconds
from runtime.journal.completions import completion
from runtime.journal.records import (
    Begin,
    End,
    Ended,
    Jobs,
    Kept,
    Progress,
    Record,
    Removed,
    Requested,
    Sampled,
    Starting,
    Stopping,
)
from runtime.report import strict
from runtime.report.results import time_text

_MICRO: Final = 1e6

Table = dict[str, object]


class EventLines:
    """Makes the lines of records, which it is given from the first one of a journal on.

    Args:
        run_dir: the run directory, which the paths of files begin with.
    """

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._ids: list[str] = []
        """By number."""
        self._epoch = 0
        """The wall time of second 0 of the clock of the segment, in microseconds."""
        self._segments = 0

    def of(self, record: Record) -> Iterator[str]:
        """Yield the lines of the next record."""
        for table in self._tables(record):
            yield f"{strict.dumps(table)}\n"

    def _tables(self, record: Record) -> Iterator[Table]:
        match record:
            case Ended():
                yield from self._ended(record)
            case Progress():
                rows = zip(record.jobs, record.attempts, record.statuses, record.at, record.notes, strict=True)
                for number, attempt, status, at, note in rows:
                    yield from self._of_job(status.name.lower(), at, number, attempt=attempt, note=note)
            case Starting():
                for number, attempt in zip(record.jobs, record.attempts, strict=True):
                    yield from self._of_job("starting", record.at, number, attempt=attempt, backend=record.backend)
            case Jobs():
                yield from self._jobs(record)
            case Kept():
                for number in record.jobs:
                    yield from self._of_job("kept", None, number, of=record.of)
            case Removed():
                for number in record.jobs:
                    yield from self._of_job("removed", None, number)
            case Sampled():
                pass  # the trace has them
            case _:
                yield self._of_run(record)

    def _of_run(self, record: Begin | Stopping | Requested | End) -> Table:
        match record:
            case Begin():
                return self._begin(record)
            case Stopping():
                return self._table("stopping", record.at, by=record.by)
            case Requested():
                return self._requested(record)
            case End():
                return self._table("run_ended", record.at, stopped_by=record.stopped_by)

    def _begin(self, record: Begin) -> Table:
        self._epoch = microseconds(record.epoch)
        self._segments += 1
        name = record.details.get("name")
        return {
            "type": "run_begun",
            "at": time_text(microseconds(record.at)),
            "run": self._run_dir.rpartition("/")[2],
            "name": name if isinstance(name, str) else None,
            "run_dir": self._run_dir,
            "segment": self._segments,
            "host": record.host,
            "pid": record.pid,
        }

    def _jobs(self, record: Jobs) -> Iterator[Table]:
        for job_id, name, seed, tags in zip(record.ids, record.names, record.seeds, record.tags, strict=True):
            self._ids.append(job_id)
            yield self._table(
                "job", None, id=job_id, name=job_id if name is None else name, seed=seed, tags=list(tags or ())
            )

    def _ended(self, record: Ended) -> Iterator[Table]:
        kind = "attempt_ended" if record.again else "job_ended"
        for row, number in enumerate(record.jobs):
            if not 0 <= number < len(self._ids):
                continue
            event = completion(record, row, self._ids[number], self._run_dir)
            yield from self._of_job(kind, event.ended, number, attempt=event.attempt, **self._end(event))

    def _end(self, event: JobCompletionEvent) -> Table:
        reason, started = event.reason, event.started
        took = None if started is None else microseconds(event.ended) - microseconds(started)
        return {
            "status": event.status.name.lower(),
            "kind": None if event.kind is None else event.kind.value,
            "class": None if event.failure_class is None else event.failure_class.value,
            "known": event.known,
            "message": None if reason is None or event.status is PASSED else reason.message,
            "never_ran": event.never_ran,
            "started": None if started is None else self._time(started),
            "run_seconds": None if took is None else took / _MICRO,
            "odir": event.odir,
            "log": event.log_path,
        }

    def _requested(self, record: Requested) -> Table:
        ids = [self._ids[number] for number in record.jobs if 0 <= number < len(self._ids)]
        return self._table(
            "requested",
            record.at,
            by=record.by,
            action=record.action,
            jobs=ids,
            force=bool(record.force),
            resource=record.resource,
            limit=record.limit,
        )

    def _of_job(self, kind: str, at: float | None, number: int, /, **more: object) -> Iterator[Table]:
        """Yield the event of a job, unless there is none of this number: a job can write a journal."""
        if 0 <= number < len(self._ids):
            yield self._table(kind, at, id=self._ids[number], **more)

    def _table(self, kind: str, at: float | None, /, **more: object) -> Table:
        return {"type": kind, "at": None if at is None else self._time(at), **more}

    def _time(self, at: float) -> str | None:
        """Return a time of the clock of the segment as ISO 8601."""
        return time_text(self._epoch + microseconds(at))


def event_lines(records: Iterable[Record], run_dir: str) -> Iterator[str]:
    """Yield the events of a whole journal.

    Args:
        records: of the journal.
        run_dir: the run directory.
    """
    lines: Callable[[Record], Iterator[str]] = EventLines(run_dir).of
    for record in records:
        yield from lines(record)
