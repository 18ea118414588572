"""What is a job? Values only: nothing here knows of trio, a clock or a file."""

from runtime.job.default_kinds import DEFAULT_KINDS
from runtime.job.events import (
    EventBatch,
    JobCompletionEvent,
    JobHandle,
    JobPaths,
    JobProgressEvent,
    JobResult,
    JobStatusInfo,
    JobUsage,
)
from runtime.job.kinds import CustomKind, Kind, Kinds
from runtime.job.naming import safe_id
from runtime.job.patterns import compile_pattern
from runtime.job.retry import FLAKY, RETRIED_KINDS, Flaky, Retry
from runtime.job.soft_stop import SoftStop, check_soft_stop
from runtime.job.spec import (
    CONTAINMENTS,
    LEFTOVERS,
    MIN_MEMORY,
    RUN_IFS,
    WATCHED_KEYS,
    Containment,
    JobSpec,
    Leftovers,
    RunIf,
)
from runtime.job.status import LEGAL_MOVES, FailureClass, FailureKind, JobStatus, check_move

__all__ = (
    "CONTAINMENTS",
    "DEFAULT_KINDS",
    "FLAKY",
    "LEFTOVERS",
    "LEGAL_MOVES",
    "MIN_MEMORY",
    "RETRIED_KINDS",
    "RUN_IFS",
    "WATCHED_KEYS",
    "Containment",
    "CustomKind",
    "EventBatch",
    "FailureClass",
    "FailureKind",
    "Flaky",
    "JobCompletionEvent",
    "JobHandle",
    "JobPaths",
    "JobProgressEvent",
    "JobResult",
    "JobSpec",
    "JobStatus",
    "JobStatusInfo",
    "JobUsage",
    "Kind",
    "Kinds",
    "Leftovers",
    "Retry",
    "RunIf",
    "SoftStop",
    "check_move",
    "check_soft_stop",
    "compile_pattern",
    "safe_id",
)
