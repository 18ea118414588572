"""`reason_of`: why a job did not pass, in DVSim's words, by which its reports put failures in buckets."""

from __future__ import annotations

import re
from typing import Any, Final

from dvsim.job.data import JobSpec as TheirJobSpec
from dvsim.job.data import JobStatusInfo as TheirInfo
from dvsim.scheduler.core import (
    ALL_FAILED_DEP,
    FAILED_DEP,
    KILLED_QUEUED,
    KILLED_RUNNING_SIGINT,
    KILLED_RUNNING_SIGTERM,
    KILLED_SCHEDULED,
)

from runtime.dvsim.log_facts import LogFacts
from runtime.job import FailureKind, JobResult, JobStatusInfo

_SIGNAL: Final = re.compile(r"killed by (SIG\w+)")
"""How the reason begins of a job that was killed because a signal stopped the run."""
_OF_LOG: Final = (FailureKind.FAIL_PATTERN, FailureKind.PASS_PATTERN_MISSING, FailureKind.LOG_UNREADABLE)
_OF_EXIT: Final = (FailureKind.EXIT_CODE, FailureKind.SIGNAL)


def reason_of(job: TheirJobSpec, result: JobResult[Any], facts: LogFacts | None, *, waited: bool) -> TheirInfo | None:
    """Return why a job did not pass; `None` if it has no reason. What DVSim has no words for has ours.

    Args:
        job: DVSim's.
        result: of the job.
        facts: what DVSim finds in its log; `None` if it was not read.
        waited: whether a job that it needs has not passed.
    """
    reason = result.reason
    if reason is None:
        return None
    if reason.kind is FailureKind.DEPENDENCY:
        return FAILED_DEP if job.needs_all_dependencies_passing else ALL_FAILED_DEP
    if (signal := _SIGNAL.match(reason.message)) and reason.kind is FailureKind.CANCELLED:
        if result.never_ran:
            return KILLED_SCHEDULED if waited else KILLED_QUEUED
        return KILLED_RUNNING_SIGINT if signal[1] == "SIGINT" else KILLED_RUNNING_SIGTERM
    # Without facts, it is a job of a launcher of DVSim's, which gives its reasons itself.
    if facts is not None and (found := _of_native(job, result, reason, facts)):
        return found
    return TheirInfo(message=reason.message, lines=reason.lines, context=reason.context)


def _of_native(job: TheirJobSpec, result: JobResult[Any], reason: JobStatusInfo, facts: LogFacts) -> TheirInfo | None:
    """Return what DVSim's local backend says of such an end, if it says anything."""
    if reason.kind is FailureKind.TIMEOUT:
        return TheirInfo(message=f"Job timed out after {job.timeout_mins} minutes")
    if reason.kind in (*_OF_LOG, *_OF_EXIT) and facts.failure is not None:
        return facts.failure
    if reason.kind in _OF_EXIT and result.usage is not None:
        usage = result.usage
        code = -usage.signal if usage.signal is not None else usage.exit_code
        return TheirInfo(message=f"Job returned a non-zero exit code: {code}", context=facts.last_lines)
    return None
