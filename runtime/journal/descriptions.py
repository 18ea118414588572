"""Descriptions of jobs as the columns of a `Jobs`, and back. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs

from runtime.job import JobSpec
from runtime.job.protocol import Specification
from runtime.job.spec import DEFAULT_SHELL
from runtime.journal.records import Jobs

_fields: Final = attrgetter("name", "secret_cmd", "cmd", "seed", "tags", "shell", "cwd", "odir", "log_path", "exports")


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


def jobs_record(jobs: Sequence[Specification], digests: Sequence[str]) -> Jobs:
    """Return the record of these jobs. Of a job that is no `JobSpec`, nothing but the id is known.

    Args:
        jobs: the jobs.
        digests: of their specifications, in the same order.
    """
    ids = [job.id for job in jobs]
    if not ids:
        return Jobs([], [])
    described = [job if isinstance(job, JobSpec) else JobDescription(job.id) for job in jobs]
    # By columns, and most of them only looked at: this is done for each job of a run.
    names, secret, cmds, seeds, tags, shells, cwds, odirs, logs, exports = zip(*map(_fields, described), strict=True)
    columns: dict[str, Any] = {"commands": cmds}  # `Any`: one class of values for each column
    if names != tuple(ids):
        columns["names"] = names
    if any(secret):
        columns["commands"] = [None if job.secret_cmd else job.cmd for job in described]
        columns["secret_cmds"] = [each or None for each in secret]
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
    return Jobs(ids, digests, **columns)


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
        index = bisect_right(self._first_numbers, number) - 1
        return description(self._records[index], number - self._first_numbers[index])


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
        bool(record.secret_cmds[row]),
        DEFAULT_SHELL if shell is None else shell,
        record.cwds[row],
        record.odirs[row],
        record.logs[row],
        exports.split("=") if exports else (),
    )
