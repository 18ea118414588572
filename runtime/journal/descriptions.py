"""Descriptions of jobs as the columns of a `Jobs`, and back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs

from runtime.job import JobSpec
from runtime.job.protocol import Specification
from runtime.job.spec import DEFAULT_SHELL
from runtime.journal.records import Jobs


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
    described = [job if isinstance(job, JobSpec) else JobDescription(job.id) for job in jobs]
    # By columns, and most of them only looked at: this is done for each job of a run.
    columns: dict[str, Any] = {  # `Any`: one class of values for each column
        "names": [job.name for job in described],
        "commands": [None if job.secret_cmd else job.cmd for job in described],
    }
    if any(job.secret_cmd for job in described):
        columns["secret_cmds"] = [job.secret_cmd or None for job in described]
    if columns["names"] == ids:
        del columns["names"]
    if any(job.seed is not None for job in described):
        columns["seeds"] = [job.seed for job in described]
    if any(job.tags for job in described):
        columns["tags"] = [job.tags or None for job in described]
    if any(job.shell is not DEFAULT_SHELL for job in described):
        columns["shells"] = [None if job.shell == DEFAULT_SHELL else job.shell for job in described]
    if any(job.cwd is not None for job in described):
        columns["cwds"] = [job.cwd for job in described]
    if any(job.odir is not None for job in described):
        columns["odirs"] = [job.odir for job in described]
    if any(job.log_path is not None for job in described):
        columns["logs"] = [job.log_path for job in described]
    if any(job.exports for job in described):
        columns["exports"] = ["=".join(job.exports) or None for job in described]
    return Jobs(ids, digests, **columns)


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
