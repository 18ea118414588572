"""Short ways to write records, for tests."""

from __future__ import annotations

from runtime.job import FailureKind, JobStatus
from runtime.journal.columns import Repeated
from runtime.journal.records import Begin, Ended, OutputIdentity, Progress, Starting

PASSED, FAILED, KILLED = JobStatus.PASSED, JobStatus.FAILED, JobStatus.KILLED
QUEUED, RUNNING, SCHEDULED = JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.SCHEDULED

HERE = OutputIdentity(2049, 77, 100)
"""The output of every job that passed, unless a test says otherwise."""


def begin(incarnation: int = 0, epoch: float = 1000.0) -> Begin:
    return Begin(
        token="t", incarnation=incarnation, at=epoch + 1, epoch=epoch, host="h", boot="b", pid=7, start=8, details={}
    )


def starting(*jobs: int, attempt: int = 1, backend: str = "local") -> Starting:
    return Starting(1.0, backend, list(jobs), Repeated(attempt, len(jobs)))


def running(*jobs: int, attempt: int = 1) -> Progress:
    count = len(jobs)
    return Progress(list(jobs), Repeated(attempt, count), Repeated(RUNNING, count), Repeated(2.0, count))


def ended(
    *jobs: int,
    status: JobStatus = PASSED,
    attempt: int = 1,
    output: OutputIdentity | None = HERE,
    again: bool | None = None,
) -> Ended:
    """The end of jobs, or of attempts at them; the output is that of jobs that passed."""
    count = len(jobs)
    passed = status is PASSED
    known = output if passed else None
    return Ended(
        list(jobs),
        Repeated(attempt, count),
        Repeated(status, count),
        submitted=Repeated(1.0, count),
        started=Repeated(2.0, count),
        ended=Repeated(3.0, count),
        messages=Repeated(None if passed else "it failed", count),
        kinds=Repeated(None if passed else FailureKind.EXIT_CODE, count),
        devices=Repeated(None if known is None else known.device, count),
        inodes=Repeated(None if known is None else known.inode, count),
        log_sizes=Repeated(None if known is None else known.log_size, count),
        again=again,
    )
