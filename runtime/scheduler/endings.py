"""The completions that a plan makes itself: of jobs of which no backend tells the end, or tells a wrong one."""

from __future__ import annotations

import attrs

from runtime.job import FailureKind, JobCompletionEvent, JobStatusInfo
from runtime.job.status import KILLED
from runtime.scheduler.graph import Node


def end_of(node: Node, kind: FailureKind, message: str, now: float) -> JobCompletionEvent:
    """Return the completion of a job that ends now, for this reason, without its backend."""
    reason = JobStatusInfo(message, kind=kind)
    return JobCompletionEvent(node.id, node.attempt, kind.status, reason, now, node.started, now)


def end_without_run(node: Node, dependency: Node, stopped_by: str | None, now: float) -> JobCompletionEvent | None:
    """Return the completion of a job if it can never run, as `dependency` has not passed; else `None`.

    Args:
        node: the job.
        dependency: has just ended, and has not passed.
        stopped_by: who stopped the run, if it is being stopped.
        now: the time.
    """
    if node.run_if != "passed" and node.waiting:
        return None
    if stopped_by is not None:
        return end_of(node, FailureKind.CANCELLED, f"killed by {stopped_by}", now)
    if node.run_if == "passed":
        message = f"it needs {dependency.id!r}, which ended as {dependency.status.name}"
    elif node.run_if == "any-passed" and not node.passed:
        message = f"none of its dependencies passed; the last was {dependency.id!r}"
    elif (gone := node.queue.backlog.gone) is not None:
        # Here, not only in `Plan._make_ready`: there a chain of jobs with `run_if="ended"` would be a recursion.
        return end_of(node, FailureKind.BACKEND_ERROR, gone, now)
    else:
        return None
    return end_of(node, FailureKind.DEPENDENCY, message, now)


def corrected(event: JobCompletionEvent) -> JobCompletionEvent:
    """Return a completion as killed in place of one whose status is not terminal, which breaks the contract."""
    reason = JobStatusInfo(f"its backend completed it as {event.status}", kind=FailureKind.BACKEND_ERROR)
    return attrs.evolve(event, status=KILLED, reason=reason)
