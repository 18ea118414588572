"""Descriptions of jobs as the columns of a `Jobs`, and back. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, repeat
from typing import Any, Final, cast

import attrs

from runtime.job import JobSpec
from runtime.job.protocol import Specification
from runtime.job.spec import DEFAULT_SHELL
from runtime.journal.columns import Repeated
from runtime.journal.json_text import dumps
from runtime.journal.records import Jobs
from runtime.journal.requirements import Requirements, requirements_of, requirements_to_json
from runtime.journal.unrecorded import alike, text_digest

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
    # By columns, and most of them only looked at: this is done for each job of a run.
    rows = [
        (
            job.full_name,
            job.name,
            job.qual_name,
            job.secret_cmd,
            job.cmd,
            job.seed,
            job.tags,
            job.shell,
            job.cwd,
            job.odir,
            job.log_path,
            job.exports,
        )
        for job in jobs
    ]
    columns_of_rows = map(list, zip(*rows, strict=True))
    ids, names, quals, secret, cmds, seeds, tags, shells, cwds, odirs, logs, exports = columns_of_rows
    columns: dict[str, Any] = {"commands": cmds}  # `Any`: one class of values for each column
    if names != ids:
        columns["names"] = [None if name == job_id else name for name, job_id in zip(names, ids, strict=True)]
    if quals != ids:
        columns["qual_names"] = [None if name == job_id else name for name, job_id in zip(quals, ids, strict=True)]
    if any(secret):
        columns["commands"] = [None if job.secret_cmd else job.cmd for job in jobs]
        columns["secret_cmds"] = [command_digest(job.cmd) if job.secret_cmd else None for job in jobs]
    if any(tags):
        columns["tags"] = [each or None for each in tags]
    if shells.count(DEFAULT_SHELL) < len(ids):
        columns["shells"] = [None if each == DEFAULT_SHELL else each for each in shells]
    if any(exports):
        columns["exports"] = ["=".join(each) or None for each in exports]
    columns |= {
        name: column
        for name, column in (("seeds", seeds), ("cwds", cwds), ("odirs", odirs), ("logs", logs))
        if column.count(None) < len(ids)
    }
    groups = alike(jobs)
    columns["requirements"] = requirements_to_json([(job, count) for job, count, _ in groups])
    digests: list[str] = []
    for _, count, its_digest in groups:
        digests += repeat(its_digest, count)
    return Jobs(ids, digests, **columns)


def jobs_records(jobs: Sequence[Specification]) -> Iterator[Jobs]:
    """Yield the records of any number of jobs, in their order. Of one that is no `JobSpec`, only its id is told."""
    for first in range(0, len(jobs), _MOST):
        for kind, group in groupby(jobs[first : first + _MOST], type):
            if issubclass(kind, JobSpec):
                yield jobs_record(cast("list[JobSpec]", list(group)))
            else:
                ids = [job.id for job in group]
                yield Jobs(ids, Repeated("", len(ids)))


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
