"""``run --dry-run``: what a run would do, a line for each job. Nothing is started, and nothing is written.

It is not a run of jobs that pass without a process, as the key ``dry_run`` of a job is: such a run would be the latest
one, and what takes up its results would take them for real.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from runtime.cli.listing import in_order
from runtime.cli.prepare import Prepared
from runtime.job import JobSpec
from runtime.report.summary import Line
from runtime.report.text import printable

_MAX_WIDTH: Final = 60
"""Characters of an id up to which commands stand in one column. Arbitrary: one long id must not push all of them out of
the screen."""


def dry_run_lines(prepared: Prepared) -> Iterator[Line]:
    """Yield the lines: the jobs in the order in which they would start one at a time, each with its command.

    Of a run that may keep results: what is kept and what runs, and why.
    """
    if prepared.keeps is not None:
        yield from prepared.keeps.lines()
        return
    jobs = in_order(prepared.jobs)
    names = [printable(job.id) for job in jobs]
    width = min(max(map(len, names), default=0), _MAX_WIDTH)
    for job, name in zip(jobs, names, strict=True):
        where = job.backend or prepared.default_backend
        on = "" if where == next(iter(prepared.backends)) else f"  (on {printable(where)})"
        yield ("run ", "bold"), (f"  {name:{width}}  {_command(job)}", ""), (on, "dim")
    yield ((f"{len(jobs)} to run; nothing was started", ""),)


def _command(job: JobSpec) -> str:
    """Return the command of a job, in a line, unless it may have secret values."""
    if job.secret_cmd:
        return "(its command has values that may be secret)"
    return printable(job.cmd if isinstance(job.cmd, str) else shlex.join(job.cmd))
