"""`Recorder`: makes the records of one segment of a journal from what happens in a run.

It knows the numbers of the jobs, and nothing else of the run. Its methods append, so they never block and never raise.
Only `wait_for_intents` waits.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from runtime.job import EventBatch, JobCompletionEvent, JobProgressEvent
from runtime.job.protocol import Specification
from runtime.journal.completions import ended
from runtime.journal.descriptions import jobs_records
from runtime.journal.digests import digests
from runtime.journal.json_text import JSON
from runtime.journal.lock import Holder
from runtime.journal.records import Begin, End, Kept, Progress, Record, Removed, Requested, Sampled, Starting, Stopping
from runtime.journal.replay import RunState


class RecordSink(Protocol):
    """What takes records: a `JournalWriter`, or a stand-in for it in a test or a simulation."""

    def append(self, record: Record) -> None:
        """Append a record. Never blocks, and never raises."""
        ...

    async def written(self) -> bool:
        """Wait until all that was appended so far is written; return whether it is."""
        ...

    async def durable(self) -> bool:
        """Wait until all that was appended so far is on disk; return whether it is."""
        ...


@attrs.frozen
class Origin:
    """Where the kept result of a job is from."""

    run: str
    """The name of the run that produced it."""
    revision: str | None = None
    """As in `Kept`."""
    removed: bool = False
    """Whether its output directory was removed, as it passed."""


class Recorder:
    """Appends the records of one segment. It is handed around for its methods; its fields are private.

    Args:
        journal: takes them.
        run_dir: the run directory.
        state: what the segments before this one tell; `None` if it is the first.
        details: as in `Begin`; the attribute may be replaced until `begin` is called.
    """

    def __init__(
        self,
        journal: RecordSink,
        run_dir: str,
        *,
        state: RunState | None = None,
        details: Mapping[str, JSON] | None = None,
    ) -> None:
        self._journal = journal
        self._append = journal.append
        self._stopped_by: str | None = None
        self._is_open = False
        """Whether the segment has begun, and has not ended."""
        self._intents = 0
        """How many intents were recorded."""
        self._run_dir = run_dir
        self.details: Mapping[str, JSON] = details or {}
        self.origins: Mapping[str, Origin] = {}
        """By id: where the kept result of a job is from, if that is another run; may be replaced until `keep`."""
        self._state = state = RunState() if state is None else state
        """Of the segments before."""
        self._incarnation = len(state.segments)
        self._numbers = dict(state.numbers)
        self._count = len(state.ids)

    def begin(self, token: str, epoch: float) -> None:
        """Record that this process runs the run from now on.

        Args:
            token: the run token.
            epoch: the wall time, in seconds since 1970, of second 0 of the clock of all events.
        """
        here = Holder.this_process()
        self._is_open = True
        self._append(
            Begin(
                token=token,
                incarnation=self._incarnation,
                at=time.time(),
                epoch=epoch,
                host=here.host,
                boot=here.boot,
                pid=here.pid,
                start=here.start,
                details=self.details,
            )
        )

    def add(self, jobs: Iterable[Specification]) -> None:
        """Record those of `jobs` that are new, or have another specification than before this segment."""
        jobs = list(jobs)
        for record in jobs_records(self._changed(jobs) if self._state.ids else jobs):
            self._numbers.update(zip(record.ids, itertools.count(self._count)))
            self._count += len(record.ids)
            self._append(record)

    def _changed(self, jobs: Sequence[Specification]) -> list[Specification]:
        """Return those that the segments before this one do not have as they are now."""
        state = self._state
        then = [state.numbers.get(job.id) for job in jobs]
        return [
            job
            for job, number, now in zip(jobs, then, digests(jobs), strict=True)
            if number is None or state.digest(number) != now
        ]

    def keep(self, events: Iterable[JobCompletionEvent]) -> None:
        """Record that these results are kept; and the results themselves, if they are of another run."""
        by_origin: dict[Origin | None, list[JobCompletionEvent]] = {}
        for event in events:
            by_origin.setdefault(self.origins.get(event.job_id), []).append(event)
        for origin, kept in by_origin.items():
            of, revision = (None, None) if origin is None else (origin.run, origin.revision)
            self._append(Kept(self._numbers_of([event.job_id for event in kept]), of, revision))
        by_origin.pop(None, None)
        # After all `Kept`: killed in between, this run has none of these results, and not some of an unknown origin. In
        # one record, because a job that has begun in a record before that of its need is taken for older than that.
        others = [event for kept in by_origin.values() for event in kept]
        self.ended([attempt for event in others for attempt in event.earlier], again=True)
        self.ended(others)
        self.removed([event.job_id for event in others if self.origins[event.job_id].removed])

    def starting(
        self, backend: str, ids: Sequence[str], attempts: Sequence[int], at: float, *, queued: bool = False
    ) -> None:
        """Record the intent to submit these jobs to a backend, at a time in seconds of the clock of all events.

        `queued`: whether it has a queue in which they may wait.
        """
        self._intents += 1
        self._append(Starting(at, backend, self._numbers_of(ids), attempts, queued or None))

    async def wait_for_intents(self, *, durable: bool) -> None:
        """Wait until the recorded intents are written, or on disk if `durable`; so nothing before them is pending.

        Returns also after a failure of the journal: the run goes on without it. A cancel is prompt.
        """
        intents = -1
        while intents != self._intents:  # those that came during the wait belong to the next submission, too
            intents = self._intents
            await (self._journal.durable() if durable else self._journal.written())

    def progress(self, batch: EventBatch) -> None:
        """Record the progress in a batch of events. Its completions are for `ended`."""
        if any(issubclass(kind, JobProgressEvent) for kind in {*map(type, batch)}):  # quicker than to ask each event
            events = [event for event in batch if isinstance(event, JobProgressEvent)]
            self._append(
                Progress(
                    self._numbers_of([event.job_id for event in events]),
                    [event.attempt for event in events],
                    [event.status for event in events],
                    [event.at for event in events],
                    [event.note for event in events],
                )
            )

    def ended(self, events: Sequence[JobCompletionEvent], *, again: bool = False) -> None:
        """Record completions: of jobs; or, if they are tried again, of attempts at them."""
        if events:
            numbers = self._numbers_of([event.job_id for event in events])
            self._append(ended(numbers, events, self._run_dir, again=again))

    def removed(self, ids: Sequence[str]) -> None:
        """Record the intent to remove the output directories of these jobs, which passed."""
        if ids:
            self._append(self.removal(ids))

    def removal(self, ids: Sequence[str]) -> Removed:
        """Return the record of the intent to remove the output directories of these jobs, which passed."""
        return Removed(self._numbers_of(ids))

    def stopping(self, at: float, by: str | None) -> None:
        """Record what stops the run, if anything does; at a time in seconds of the clock of all events.

        The first counts: what stops it harder later is not recorded.
        """
        if by is not None and self._stopped_by is None:
            self._stopped_by = by
            self._append(Stopping(at, by))

    def requested(
        self,
        at: float,
        by: str,
        action: str,
        *,
        ids: Iterable[str] = (),
        force: bool = False,
        resource: str | None = None,
        limit: int | None = None,
    ) -> None:
        """Record what somebody asked for, and got; at a time in seconds of the clock of all events.

        Args:
            at: when.
            by: who.
            action: as in `Requested`, and so are `resource` and `limit`.
            ids: of the jobs that were to be killed.
            force: whether soft stop and SIGTERM were to be skipped.
            resource: the name of a resource.
            limit: its new limit.
        """
        numbers = self._numbers_of(ids)
        self._append(
            Requested(at=at, by=by, action=action, jobs=numbers, force=force or None, resource=resource, limit=limit)
        )

    def sampled(
        self, at: float, cpus: float | None, memory: int | None, resources: Mapping[str, tuple[int, int | None]]
    ) -> None:
        """Record what is in use, as in `Sampled`; nothing before the segment has begun, and after it has ended."""
        if self._is_open:
            self._append(Sampled(at, cpus, memory, {name: list(amounts) for name, amounts in resources.items()}))

    def end(self, at: float, stopped_by: str | None = None) -> None:
        """Record that the segment ends in order, at a time in seconds of the clock of all events."""
        self._is_open = False
        self._append(End(at, stopped_by))

    def _numbers_of(self, ids: Iterable[str]) -> list[int]:
        return list(map(self._numbers.__getitem__, ids))
