"""The digest of a specification: whether a job is still the one that a journal tells of. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.job import JobSpec
from runtime.job.protocol import Specification
from runtime.journal.descriptions import command_digest, jobs_records
from runtime.journal.json_text import dumps
from runtime.journal.records import Jobs
from runtime.journal.requirements import requirements_of
from runtime.journal.unrecorded import text_digest


def digest(spec: JobSpec) -> str:
    """Return 16 hexadecimal digits that are the same for equal specifications, in every process.

    Whatever may change the result of a job is a part of it, the values of `exports` included. No part are `weight` and
    `tags`, which decide when and whether it runs; `queue_timeout`, `soft_stop` and `soft_timeout`, which matter to a
    job that is killed, and so to none that passed; `slow`, which only names it; `retry`, which decides how often it
    runs; `jobserver`, which decides how many processes it has at once; `kinds`, which matter to none that passed,
    either; and `secret_cmd`, which decides where its command may be shown. A hook is known by its module and name, not
    by its code.
    """
    return digests([spec])[0]


def digests(jobs: Sequence[Specification]) -> list[str]:
    """Return the `digest` of each specification; ``""`` for a job that is no `JobSpec`."""
    return [recorded_digest(record, row) for record in jobs_records(jobs) for row in range(len(record.ids))]


def recorded_digest(record: Jobs, row: int) -> str:
    """Return the `digest` of the specification in a row of a record; ``""`` if it was no `JobSpec`.

    In a record of version 0.2 dependencies were a part of `Jobs.digests`, so a job that has some has another digest.
    """
    if not record.digests[row]:
        return ""
    secret = record.secret_cmds[row]
    values = [
        record.digests[row],
        record.ids[row],
        record.names[row],
        record.qual_names[row],
        # Not the command, so that it is the same whether or not it may be shown.
        command_digest(record.commands[row]) if secret is None else secret,
        record.seeds[row],
        record.shells[row],
        record.cwds[row],
        record.odirs[row],
        record.logs[row],
    ]
    if dependencies := requirements_of(row, record.requirements).dependencies:
        values.append(sorted(dependencies))
    return text_digest(dumps(values))
