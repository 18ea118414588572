"""What is known of a run, computed from the records of its journal: a state that is the same however often it is made.
Pure.

Of two completions of a job, the one of the later attempt counts, and of one attempt the later one. No records make it
raise: those of unknown jobs, and those of attempts that are over, are counted and change nothing. A million jobs cost
lists with a few numbers each; their completions stay in the columns of their records, and become events on demand.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import attrs

from runtime.job import JobCompletionEvent, JobStatus
from runtime.job.status import PASSED, QUEUED, RUNNING, SCHEDULED, TERMINAL
from runtime.journal.completions import completion, output, shifted
from runtime.journal.descriptions import Descriptions, JobDescription
from runtime.journal.digests import recorded_digest
from runtime.journal.records import (
    Begin,
    End,
    Ended,
    Jobs,
    Kept,
    OutputIdentity,
    Progress,
    Record,
    Removed,
    Requested,
    Sampled,
    Starting,
    Stopping,
)
from runtime.journal.requirements import Requirements
from runtime.journal.segments import InFlight, Segment

_NOT_YET = -1


def _indices() -> array[int]:
    return array("q")


class LastRows(NamedTuple):
    """The rows of a record that are the last completions of their jobs."""

    record: Ended
    epoch: float
    """The wall time of second 0 of its times."""
    numbers: Sequence[int]
    """The numbers of the jobs."""
    rows: Sequence[int]
    """The row of each."""


@attrs.define
class RunState:
    """The state of a run. Lists have an item for each job number; `replay` makes a state, and `apply` continues it.

    It has many fields because each is a list, of one thing that is known of all jobs: an object for each of a million
    jobs would take far more memory. What reads it needs one or two of them.
    """

    run_dir: str = "."
    """The run directory, which the paths of completions begin with."""
    ids: list[str] = attrs.field(factory=list, init=False)
    attempts: list[int] = attrs.field(factory=list, init=False)
    """The last attempt that was to be started, from 1; 0 for none. A job that replaces another one continues its."""
    statuses: list[JobStatus] = attrs.field(factory=list, init=False)
    """QUEUED from its `Starting` on, and while it waits for another attempt; RUNNING only if an event said so."""
    numbers: dict[str, int] = attrs.field(factory=dict, init=False)
    """Id to number, in the order of the ids; a job that was replaced is in the lists, but not here."""
    segments: list[Segment] = attrs.field(factory=list, init=False)
    origins: dict[int, str] = attrs.field(factory=dict, init=False)
    """Number to the name of the run that the result is of, if that is another run."""
    revisions: dict[int, str] = attrs.field(factory=dict, init=False)
    """Number to the revision of the source tree, of those of `origins` of which it is known."""
    ignored: int = attrs.field(default=0, init=False)
    """Rows of records that changed nothing, because they are of a job or an attempt that cannot be."""
    _records: list[Starting | Ended] = attrs.field(factory=list, init=False)
    _segments: array[int] = attrs.field(factory=_indices, init=False)
    """The index in `segments` of the segment of each of `_records`; -1 if no segment had begun."""
    _descriptions: Descriptions = attrs.field(factory=Descriptions, init=False)
    _digests: dict[int, str] = attrs.field(factory=dict, init=False, eq=False)
    """What `digest` has returned, as a resume asks for each several times."""
    _begun: array[int] = attrs.field(factory=_indices, init=False)
    """For each job, the index of its last `Starting` (or of its `Ended`, if there is none) in `_records`, or -1."""
    _ended: array[int] = attrs.field(factory=_indices, init=False)
    """The index of its last `Ended`, or -1."""
    _rows: array[int] = attrs.field(factory=_indices, init=False)
    """Its row in that."""
    _removed: bytearray = attrs.field(factory=bytearray, init=False)
    """1 for each job whose output directory was removed since it ended last, or was about to be."""
    _earlier: dict[int, list[tuple[int, int]]] = attrs.field(factory=dict, init=False)
    """By number of a job that was tried again: index and row of each `Ended` before the last one."""

    def apply(self, record: Record) -> None:
        """Add what the next record of the journal says."""
        match record:
            case Ended():
                self._apply_ended(record)
            case Progress():
                self._apply_progress(record)
            case Starting():
                self._apply_starting(record)
            case Jobs():
                self._apply_jobs(record)
            case Kept():
                self._apply_kept(record)
            case Removed():
                self._apply_removed(record)
            case Begin():
                self.segments.append(Segment(record))
            case Stopping() | Requested() | Sampled() | End():
                if self.segments:
                    self.segments[-1].apply(record)

    @property
    def is_complete(self) -> bool:
        """Whether the last segment ended in order."""
        return bool(self.segments) and self.segments[-1].end is not None

    def result(self, number: int) -> JobCompletionEvent | None:
        """Return the last completion of a job; `None` if it has not ended since it was last started.

        Its `earlier` are the attempts after which it was to be tried again, also those of earlier segments; but not a
        failure with which it ended for good, before a resume ran it again.
        """
        if self.statuses[number] not in TERMINAL:
            return None
        index = self._ended[number]
        last = self._completion(number, index, self._rows[number])
        if number not in self._earlier:
            return last
        earlier = self._completions(number, self._earlier[number], self._epoch_of(index))
        return attrs.evolve(last, earlier=earlier)

    def is_removed(self, number: int) -> bool:
        """Whether the output directory of a job that passed was removed, or was about to be."""
        return bool(self._removed[number])

    def is_waiting(self, number: int) -> bool:
        """Whether the last attempt at a job has ended, and the job waits for the next one."""
        return self.statuses[number] is QUEUED and self._ended[number] >= self._begun[number] > _NOT_YET

    def is_running(self, number: int) -> bool:
        """Whether the last attempt at a job runs, if a process runs the run. Of some backends only its start tells."""
        if self.statuses[number] is not QUEUED or self.is_waiting(number):
            return self.statuses[number] is RUNNING
        begun = self._records[self._begun[number]]
        return isinstance(begun, Starting) and not begun.queued

    def earlier(self, number: int) -> Sequence[JobCompletionEvent]:
        """Return the `earlier` completions that the next result of a job will have, or the attempts that count so far.

        Their times are on the clock of the last segment, and their paths those that their files have when the next
        attempt has begun.
        """
        index, row = self._ended[number], self._rows[number]
        rows = self._earlier.get(number, [])
        record = self._records[index] if index != _NOT_YET else None
        if isinstance(record, Ended):
            rows = [*rows, (index, row)] if record.again else rows if not record.attempts[row] else []
        return self._completions(number, rows, self.segments[-1].begin.epoch if self.segments else 0)

    def results(self) -> Iterator[JobCompletionEvent]:
        """Yield the last completion of each job that has ended, in the order of the ids."""
        for number in self.numbers.values():
            result = self.result(number)
            if result is not None:
                yield result

    def last_rows(self) -> Iterator[LastRows]:
        """Yield the rows of records that are the last completions of jobs: each job that has ended once.

        For what reads the columns of many jobs. It is much quicker than `results`, which makes an event of each.
        """
        found: dict[int, list[int]] = {}
        for number in self.numbers.values():
            if self.statuses[number] in TERMINAL:
                found.setdefault(self._ended[number], []).append(number)
        for index, numbers in found.items():
            record = self._records[index]
            assert isinstance(record, Ended)
            yield LastRows(record, self._epoch_of(index), numbers, [self._rows[number] for number in numbers])

    @property
    def retried(self) -> Collection[int]:
        """The numbers of the jobs that were tried again, of which `result` has `earlier` attempts."""
        return self._earlier.keys()

    def description(self, number: int) -> JobDescription:
        """Return what is known of a job besides its results."""
        return self._descriptions.of(number)

    def requirements(self, number: int) -> Requirements:
        """Return what a job needs before it runs, and how much it may use."""
        return self._descriptions.requirements(number)

    def digest(self, number: int) -> str:
        """Return what `digests.digest` gives for the specification of a job; ``""`` if it was no `JobSpec`."""
        if number not in self._digests:
            self._digests[number] = recorded_digest(*self._descriptions.row_of(number))
        return self._digests[number]

    def segment(self, number: int) -> Segment | None:
        """Return the segment in which a job ended; `None` if it has not ended, or if no segment had begun."""
        if self.statuses[number] not in TERMINAL:
            return None
        index = self._segments[self._ended[number]]
        return None if index < 0 else self.segments[index]

    def epoch(self, number: int) -> float | None:
        """Return the wall time of second 0 for the times of a job's last completion; `None` if it has not ended."""
        if self.statuses[number] not in TERMINAL:
            return None
        return self._epoch_of(self._ended[number])

    def output(self, number: int) -> OutputIdentity | None:
        """Return what identified the output of a job when it ended; `None` if it has not, or that is not known."""
        if self.statuses[number] not in TERMINAL:
            return None
        record = self._records[self._ended[number]]
        return output(record, self._rows[number]) if isinstance(record, Ended) else None

    def origins_by_id(self) -> dict[str, str]:
        """Return the names of the other runs that results are of, by the ids of the jobs."""
        if not self.origins:  # as of most runs
            return {}
        return {job_id: self.origins[number] for job_id, number in self.numbers.items() if number in self.origins}

    def revision(self, number: int) -> str | None:
        """Return the git revision of the clean source tree that a result was made of.

        `None` if the job has not ended, or the revision is not known, or the tree was not clean.
        """
        if number in self.origins:
            return self.revisions.get(number)
        segment = self.segment(number)
        git = None if segment is None else segment.begin.details.get("git")
        if not isinstance(git, dict) or git.get("clean") is not True:
            return None
        found = git.get("revision")
        return found if isinstance(found, str) else None

    def counts(self) -> Counter[JobStatus]:
        """Return how many jobs have each status. Those that were replaced do not count."""
        return Counter(self.statuses[number] for number in self.numbers.values())

    def in_flight(self) -> Iterator[InFlight]:
        """Yield the attempts of which no end is known, those of replaced jobs included."""
        for number, status in enumerate(self.statuses):
            if status is not SCHEDULED and status not in TERMINAL and not self.is_waiting(number):
                job_id, replaced = self.ids[number], self.numbers[self.ids[number]] != number
                yield InFlight(number, job_id, self.attempts[number], self.backend(number), replaced)

    def backend(self, number: int) -> str:
        """Return the name of the backend of the last attempt at a job; ``""`` if that is not known."""
        begun = self._records[self._begun[number]] if self._begun[number] != _NOT_YET else None
        return begun.backend if isinstance(begun, Starting) else ""

    def began_before_end_of(self, number: int, other: int) -> bool:
        """Whether the last attempt at a job was begun before the last one at `other` ended, so without its output."""
        return self._begun[number] < self._ended[other]

    def _completion(self, number: int, index: int, row: int) -> JobCompletionEvent:
        record = self._records[index]
        assert isinstance(record, Ended)
        return completion(record, row, self.ids[number], self.run_dir)

    def _completions(
        self, number: int, rows: Iterable[tuple[int, int]], epoch: float
    ) -> tuple[JobCompletionEvent, ...]:
        """Return completions of a job, with times on the clock whose second 0 has the wall time `epoch`."""
        return tuple(
            shifted(self._completion(number, index, row), self._epoch_of(index) - epoch) for index, row in rows
        )

    def _epoch_of(self, index: int) -> float:
        """Return the wall time of second 0 for the times of one of `_records`."""
        segment = self._segments[index]
        return 0 if segment < 0 else self.segments[segment].begin.epoch

    def _apply_jobs(self, record: Jobs) -> None:
        self._descriptions.add(record, len(self.ids))
        for job_id in record.ids:
            replaced = self.numbers.get(job_id)
            self.attempts.append(0 if replaced is None else self.attempts[replaced])
            self.numbers[job_id] = len(self.ids)
            self.ids.append(job_id)
        count = len(record.ids)
        self.statuses += [SCHEDULED] * count
        self._removed += bytes(count)
        for indices in (self._begun, self._ended, self._rows):
            indices.extend([_NOT_YET] * count)

    def _apply_starting(self, record: Starting) -> None:
        index = self._remember(record)
        attempts, total = self.attempts, len(self.ids)
        for number, attempt in zip(record.jobs, record.attempts, strict=True):
            if not 0 <= number < total or attempt < attempts[number]:
                self.ignored += 1
                continue
            attempts[number] = attempt
            self.statuses[number] = QUEUED
            self._begun[number] = index
            self._removed[number] = 0
            self._forget_origin(number)

    def _forget_origin(self, number: int) -> None:
        """Take note that a job is run in this run, whichever run its result was of."""
        if self.origins:  # most runs have none
            self.origins.pop(number, None)
            self.revisions.pop(number, None)

    def _apply_progress(self, record: Progress) -> None:
        statuses, total = self.statuses, len(self.ids)
        for number, attempt, status in zip(record.jobs, record.attempts, record.statuses, strict=True):
            is_known = 0 <= number < total and attempt == self.attempts[number] and statuses[number] not in TERMINAL
            if not is_known or self.is_waiting(number):
                self.ignored += 1
                continue
            statuses[number] = status

    def _apply_ended(self, record: Ended) -> None:
        index = self._remember(record)
        attempts, begun, total = self.attempts, self._begun, len(self.ids)
        rows = zip(record.jobs, record.attempts, record.statuses, strict=True)
        for row, (number, attempt, status) in enumerate(rows):
            # Attempt 0: a later segment has ended the job without an attempt, such as when what it needs did not pass.
            if not 0 <= number < total or (attempt and attempt < attempts[number]):
                self.ignored += 1
                continue
            if attempt > attempts[number] or begun[number] == _NOT_YET:  # no `Starting` of it: it is of another run
                attempts[number] = attempt
                begun[number] = index
            self.statuses[number] = QUEUED if record.again else status
            self._removed[number] = 0
            if self._ended[number] != _NOT_YET:
                self._remember_earlier(number, attempt)
            self._ended[number] = index
            self._rows[number] = row

    def _remember_earlier(self, number: int, attempt: int) -> None:
        """Take note that an attempt at a job has ended that had ended before."""
        index, row = self._ended[number], self._rows[number]
        record = self._records[index]
        assert isinstance(record, Ended)
        before = record.attempts[row]
        if not before:
            return  # it ended without an attempt, so that its earlier ones count as before
        if self._segments[index] < len(self.segments) - 1 and not record.again:
            self._earlier.pop(number, None)  # it ended for good, and a resume ran it again
        # Not if it is told again of the same attempt: no other one followed, although it was to. Nor if that passed,
        # after which no other one follows, whatever a damaged journal says.
        elif (before < attempt or not attempt) and record.statuses[row] is not JobStatus.PASSED:
            self._earlier.setdefault(number, []).append((index, row))

    def _apply_kept(self, record: Kept) -> None:
        for number in record.jobs:
            # Of a result of another run, the `Ended` is still to come.
            if not 0 <= number < len(self.ids) or (record.of is None and self.statuses[number] not in TERMINAL):
                self.ignored += 1
                continue
            if record.of is not None:
                self.origins[number] = record.of
            if record.of is not None and record.revision is not None:
                self.revisions[number] = record.revision
            if self.segments:
                self.segments[-1].kept += 1

    def _apply_removed(self, record: Removed) -> None:
        for number in record.jobs:
            if 0 <= number < len(self.ids) and self.statuses[number] is PASSED:
                self._removed[number] = 1
            else:
                self.ignored += 1

    def _remember(self, record: Starting | Ended) -> int:
        """Return the index in `_records` of a record that is added there."""
        self._records.append(record)
        self._segments.append(len(self.segments) - 1)
        return len(self._records) - 1


def replay(records: Iterable[Record], run_dir: str = ".") -> RunState:
    """Return what these records, from the first one of a journal on, say of the run.

    Args:
        records: any number of them; a prefix of a journal gives the state at that time.
        run_dir: the run directory, which the paths of completions begin with.
    """
    state = RunState(run_dir)
    for record in records:
        state.apply(record)
    return state
