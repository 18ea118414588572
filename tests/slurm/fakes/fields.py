"""The fields that `squeue` and `sacct` can show of a job, and the two notations to request them."""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Callable, Iterable, Mapping

import attrs

from tests.slurm.fakes.jobs import COMPACT, PENDING, Job


@attrs.frozen
class Row:
    """One line of output: a job, or the pending elements of an array that share a line."""

    job: Job
    ids: str = ""
    """The indices of several elements, as `squeue` writes them without ``--array``."""
    wall: float = 0.0
    """The offset of the wall clock from the controller's clock, in seconds."""

    @property
    def index(self) -> str:
        """The indices, or ``N/A``."""
        return self.ids or ("N/A" if self.job.index is None else str(self.job.index))

    @property
    def label(self) -> str:
        """The id as users write it."""
        return f"{self.job.array_id}_[{self.ids}]" if self.ids else self.job.label

    def time(self, at: float | None) -> str:
        """A point in time, as Slurm writes it."""
        return "N/A" if at is None else time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at + self.wall))


def span(seconds: float | None) -> str:
    """A length of time, as `squeue` writes it."""
    if seconds is None:
        return "UNLIMITED"
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def user() -> str:
    """The name of the user who submits all jobs of the fake."""
    return pwd.getpwuid(os.geteuid()).pw_name


def _elapsed(row: Row) -> str:
    job = row.job
    if job.started is None or job.state == PENDING:
        return "0:00"
    return span(max(0.0, (job.ended if job.ended is not None else _now(row)) - job.started))


def _now(row: Row) -> float:
    return time.time() - row.wall


def _end(job: Job) -> float | None:
    """When it ended, or will end at the latest: without a limit, in a year."""
    if job.ended is not None or job.started is None:
        return job.ended
    return job.started + (job.request.time_limit or 365 * 86400)


def _where(row: Row) -> str:
    job = row.job
    if job.state == PENDING or (job.is_done and job.visible in {"FAILED", "NODE_FAIL", "TIMEOUT"}):
        return f"({job.reason})"
    return job.node or ""


Field = Callable[[Row], str]

FIELDS: Mapping[str, Field] = {
    "jobarrayid": lambda row: row.label,
    "arrayjobid": lambda row: str(row.job.array_id),
    "arraytaskid": lambda row: row.index,
    "jobid": lambda row: str(row.job.job_id),
    "state": lambda row: row.job.visible,
    "statecompact": lambda row: COMPACT.get(row.job.visible, row.job.visible[:2]),
    "reason": lambda row: row.job.reason,
    "reasonlist": _where,
    "name": lambda row: row.job.request.name,
    "comment": lambda row: row.job.request.comment or "(null)",
    "username": lambda row: user(),
    "userid": lambda row: str(os.geteuid()),
    "workdir": lambda row: row.job.request.directory,
    "submittime": lambda row: row.time(row.job.submitted),
    "starttime": lambda row: row.time(row.job.started),
    "endtime": lambda row: row.time(_end(row.job)),
    "restartcnt": lambda row: str(row.job.restarts),
    "exit_code": lambda row: str(row.job.status),
    "nodelist": lambda row: row.job.node or "",
    "numnodes": lambda row: "1",
    "numcpus": lambda row: str(row.job.request.cpus),
    "timeused": _elapsed,
    "timelimit": lambda row: span(row.job.request.time_limit),
    "partition": lambda row: row.job.request.partition,
    "account": lambda row: row.job.request.account or "(null)",
    "qos": lambda row: row.job.request.qos or "(null)",
    "priority": lambda row: "4294901757",
    "batchhost": lambda row: row.job.node or "n/a",
}
"""Lower-case names of ``--Format``, and how to show each."""

LETTERS: Mapping[str, str] = {
    "i": "jobarrayid", "A": "jobid", "F": "arrayjobid", "K": "arraytaskid", "T": "state", "t": "statecompact",
    "r": "reason", "R": "reasonlist", "j": "name", "k": "comment", "u": "username", "U": "userid", "Z": "workdir",
    "V": "submittime", "S": "starttime", "e": "endtime", "M": "timeused", "l": "timelimit", "N": "nodelist",
    "D": "numnodes", "C": "numcpus", "P": "partition", "a": "account", "q": "qos", "Q": "priority", "B": "batchhost",
}  # fmt: skip
"""Letters of ``--format``, and the names that mean the same."""

HEADS: Mapping[str, str] = {
    "jobarrayid": "JOBID",
    "username": "USER",
    "statecompact": "ST",
    "timeused": "TIME",
    "numnodes": "NODES",
    "reasonlist": "NODELIST(REASON)",
}
DEFAULT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"


def by_letters(format_: str) -> Callable[[Row | None], str]:
    """Return what ``--format`` means: from a row, or `None` for the head, to a line."""

    def line(row: Row | None) -> str:
        def show(match: re.Match[str]) -> str:
            name = LETTERS.get(match[3])
            if name is None:
                return match[0]
            text = HEADS.get(name, name.upper()) if row is None else FIELDS[name](row)
            if match[2]:
                size = int(match[2])
                text = f"{text[:size]:>{size}}" if match[1] else f"{text[:size]:<{size}}"
            return text

        return re.sub(r"%(\.?)(\d*)([A-Za-z])", show, format_)

    return line


def by_names(format_: str) -> tuple[Callable[[Row | None], str], list[str]]:
    """Return what ``--Format`` means, and the names that do not exist."""
    parts: list[tuple[str, int | None, bool, str]] = []
    unknown: list[str] = []
    for part in format_.split(","):
        name, colon, rest = part.partition(":")
        match = re.fullmatch(r"(\.?)(\d*)(.*)", rest)
        assert match is not None, "it matches anything"
        size = int(match[2]) if match[2] else None if colon else 20
        if name.lower() in FIELDS:
            parts.append((name.lower(), size, bool(match[1]), match[3]))
        else:
            unknown.append(name)

    def line(row: Row | None) -> str:
        found = ""
        for name, size, right, suffix in parts:
            text = HEADS.get(name, name.upper()) if row is None else FIELDS[name](row)
            if size is not None:
                text = f"{text[:size]:>{size}}" if right else f"{text[:size]:<{size}}"
            found += text + suffix
        return found

    return line, unknown


ACCOUNTING: Mapping[str, Field] = {
    "jobid": lambda row: row.job.label,
    "jobidraw": lambda row: str(row.job.job_id),
    "jobname": lambda row: row.job.request.name,
    "state": lambda row: f"CANCELLED by {os.geteuid()}" if row.job.visible == "CANCELLED" else row.job.visible,
    "exitcode": lambda row: row.job.exit_code,
    "submit": lambda row: row.time(row.job.submitted),
    "start": lambda row: "Unknown" if row.job.started is None else row.time(row.job.started),
    "end": lambda row: "Unknown" if row.job.ended is None else row.time(row.job.ended),
    "nodelist": lambda row: row.job.node or "None assigned",
    "comment": lambda row: row.job.request.comment or "",
    "user": lambda row: user(),
    "elapsedraw": lambda row: str(int((row.job.ended or 0) - (row.job.started or 0))),
    "maxrss": lambda row: "",
    "totalcpu": lambda row: "00:00:00",
    "reqmem": lambda row: "100M",
    "derivedexitcode": lambda row: "0:0",
    "restarts": lambda row: str(row.job.restarts),
}
"""Lower-case names of `sacct`, and how to show each."""


def collapse(jobs: Iterable[Job], wall: float) -> list[Row]:
    """Return rows as without ``--array``: the pending elements of an array are one."""
    rows: list[Row] = []
    arrays: dict[int, list[Job]] = {}
    for job in jobs:
        if job.state == PENDING and job.index is not None and not job.restarts:
            arrays.setdefault(job.array_id, []).append(job)
        else:
            rows.append(Row(job, "", wall))
    for waiting in arrays.values():
        throttle = waiting[0].request.throttle
        ids = ranges(job.index for job in waiting if job.index is not None) + (f"%{throttle}" if throttle else "")
        rows.append(Row(waiting[0], ids if len(waiting) > 1 else "", wall))
    return rows


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as Slurm writes them: ``1-3,5``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
