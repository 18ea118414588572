"""Descriptions of jobs as the columns of a `Jobs`, and back. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, repeat
from typing import Any, Final, TypeVar, cast

import attrs

from runtime.job import JobSpec
from runtime.job.protocol import Specification
from runtime.job.spec import DEFAULT_SHELL
from runtime.journal.columns import Repeated, runs
from runtime.journal.json_text import dumps
from runtime.journal.records import Jobs
from runtime.journal.requirements import Requirements, requirements_of, requirements_to_json
from runtime.journal.unrecorded import alike, text_digest

_T = TypeVar("_T")

_MOST: Final = 250
"""Jobs of a record. So many are still in the processor's cache when they are read again: a tenth takes more space and
time for what each record has, and ten times more take a fifth longer."""


@attrs.frozen(weakref_slot=False)
class JobDescription:
    """What a journal knows of a job: the fields of its `JobSpec` that reports show."""

    id: str
    name: str = attrs.field(default=attrs.Factory(lambda self: self.id, takes_self=True))
    """The name for people; the id if it is not known."""
    seed: int | None = None
    tags: Sequence[str] = ()
    cmd: str | Sequence[str] = ""
    """Its command; empty if it is not known."""
    secret_cmd: bool = False
    """Whether its command may have secret values, and so is not in the journal."""
    shell: str | Sequence[str] = DEFAULT_SHELL
    cwd: str | None = None
    odir: str | None = None
    log_path: str | None = None
    exports: Collection[str] = ()
    """The names of its environment variables."""


def jobs_record(jobs: Sequence[JobSpec]) -> Jobs:
    """Return the record of these jobs, of which there is at least one."""
    # By columns, and what jobs share by groups: this is done for each job of a run.
    groups, digests = zip(*alike(jobs), strict=True)
    firsts, counts = [group[0] for group in groups], [len(group) for group in groups]
    ids = [job.full_name for job in jobs]
    columns: dict[str, Any] = {  # `Any`: one class of values for each column
        "commands": [job.cmd for job in jobs],
        "tags": _column(counts, [job.tags or None for job in firsts]),
        "shells": _column(counts, [None if job.shell == DEFAULT_SHELL else job.shell for job in firsts]),
        "exports": _column(counts, ["=".join(job.exports) if job.exports else None for job in firsts]),
    }
    seldom: dict[str, Any] = {
        "seeds": [job.seed for job in jobs],
        "cwds": [job.cwd for job in jobs],
        "odirs": [job.odir for job in jobs],
        "logs": [job.log_path for job in jobs],
    }
    columns |= {name: column for name, column in seldom.items() if column.count(None) < len(ids)}
    for name, column in (("names", [job.name for job in jobs]), ("qual_names", [job.qual_name for job in jobs])):
        if column != ids:
            columns[name] = [None if each == job_id else each for each, job_id in zip(column, ids, strict=True)]
    if any(job.secret_cmd for job in firsts):
        columns["commands"] = [None if job.secret_cmd else job.cmd for job in jobs]
        columns["secret_cmds"] = [command_digest(job.cmd) if job.secret_cmd else None for job in jobs]
    columns["requirements"] = requirements_to_json(groups)
    return Jobs(ids, _column(counts, digests), **columns)


def _column(counts: Sequence[int], values: Sequence[_T]) -> Sequence[_T]:
    """Return the column of jobs in groups: of each group, how many jobs it has, and the value that they have."""
    if values.count(values[0]) == len(values):
        return Repeated(values[0], sum(counts))
    return list(chain.from_iterable(map(repeat, values, counts)))


def jobs_records(jobs: Sequence[Specification]) -> Iterator[Jobs]:
    """Yield the records of any number of jobs, in their order. Of one that is no `JobSpec`, only its id is told."""
    for first in range(0, len(jobs), _MOST):
        some = jobs[first : first + _MOST]
        kinds = list(map(type, some))
        for begin, end in runs(kinds):
            if issubclass(kinds[begin], JobSpec):
                yield jobs_record(cast("Sequence[JobSpec]", some[begin:end]))
            else:
                yield Jobs([job.id for job in some[begin:end]], Repeated("", end - begin))


def command_digest(command: str | Sequence[str] | None) -> str:
    """Return 16 hexadecimal digits of a command."""
    return text_digest(dumps(command))


@attrs.define
class Descriptions:
    """The descriptions of all jobs of a journal, which stay in their records until they are asked for."""

    _records: list[Jobs] = attrs.field(factory=list, init=False)
    _first_numbers: list[int] = attrs.field(factory=list, init=False)
    """The number of the first job of each record."""

    def add(self, record: Jobs, first: int) -> None:
        """Add the jobs of a record, the numbers of which begin with `first`, behind those of all others."""
        if record.ids:
            self._records.append(record)
            self._first_numbers.append(first)

    def of(self, number: int) -> JobDescription:
        """Return the description of a job."""
        return description(*self.row_of(number))

    def requirements(self, number: int) -> Requirements:
        """Return what a job requires."""
        record, row = self.row_of(number)
        return requirements_of(row, record.requirements)

    def row_of(self, number: int) -> tuple[Jobs, int]:
        """Return the record of a job, and its row in that."""
        index = bisect_right(self._first_numbers, number) - 1
        return self._records[index], number - self._first_numbers[index]


def description(record: Jobs, row: int) -> JobDescription:
    """Return the description of the job in a row of a record."""
    job_id = record.ids[row]
    name, exports, shell = record.names[row], record.exports[row], record.shells[row]
    return JobDescription(
        job_id,
        job_id if name is None else name,
        record.seeds[row],
        record.tags[row] or (),
        record.commands[row] or "",
        record.secret_cmds[row] is not None,
        DEFAULT_SHELL if shell is None else shell,
        record.cwds[row],
        record.odirs[row],
        record.logs[row],
        exports.split("=") if exports else (),
    )
