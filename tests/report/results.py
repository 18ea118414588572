"""Results of jobs, for the tests of this package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from runtime.backend.job_paths import job_paths
from runtime.job import JobCompletionEvent, JobResult, JobSpec, JobStatus, JobStatusInfo, JobUsage, Kind

NONE_APART: Final = {"infrastructure": 0, "known": 0}
"""The counts of a run that are shown apart."""


def result(
    name: str = "a",
    kind: Kind | None = None,
    message: str = "it failed",
    *,
    lines: Sequence[int | tuple[int, int]] | None = None,
    context: Sequence[str] | None = None,
    usage: JobUsage | None = None,
    cause: Kind | None = None,
    known: str | None = None,
    attempt: int = 1,
    run_dir: Path | str = "/out/run",
    **fields: Any,
) -> JobResult[JobSpec]:
    """Return the result of a job: passed, or not passed with a reason of this kind."""
    job = JobSpec(name=name, **{"cmd": "./sim", "cwd": "/work", **fields})
    status = JobStatus.PASSED if kind is None else kind.status
    reason = None if kind is None else JobStatusInfo(message, lines, context, kind, cause, known)
    started = 2.0 if attempt else None
    paths = job_paths(job, str(run_dir)) if attempt else None
    return JobResult(job, JobCompletionEvent(job.id, attempt, status, reason, 1.0, started, 4.5, usage, paths))
