"""What a job that has ended is counted as, each job once. Pure."""

from __future__ import annotations

from typing import Final

from runtime.job.events import JobCompletionEvent, JobResult
from runtime.job.status import PASSED, FailureClass

INFRASTRUCTURE: Final = "infrastructure"
KNOWN: Final = "known"
NEVER_RAN: Final = "never_ran"

COUNTED_AS: Final = ("passed", "failed", "killed", INFRASTRUCTURE, KNOWN, NEVER_RAN)
"""What a job is counted as: it passed; it failed, or was killed, and is none of the following; its failure is one of
the infrastructure; its failure is known; it ended before it began to run, and is none of the others."""


def counted_as(result: JobCompletionEvent | JobResult[object]) -> str:
    """Return what a job that has ended is counted as: one of `COUNTED_AS`. A dependency counts as its cause."""
    if result.status is PASSED:
        return COUNTED_AS[0]
    if result.known is not None:
        return KNOWN
    if result.failure_class is FailureClass.INFRASTRUCTURE:
        return INFRASTRUCTURE
    return NEVER_RAN if result.never_ran else result.status.name.lower()
