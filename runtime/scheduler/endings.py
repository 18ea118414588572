"""The completions that a plan makes itself: of jobs of which no backend tells the end, or tells a wrong one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from runtime.job import FailureClass, FailureKind, JobCompletionEvent, JobStatusInfo
from runtime.job.protocol import Job
from runtime.job.status import KILLED
from runtime.scheduler.graph import Node

logger: Final = logging.getLogger("runtime.scheduler")

KnownFailure: TypeAlias = Callable[[Job, JobStatusInfo], str | None]
"""Tells the name of the known failure that a failure of the design is; `None` if it is none. Called in the event loop,
once for each job that ends with such a failure, so it must not block."""


def end_of(node: Node, kind: FailureKind, message: str, now: float) -> JobCompletionEvent:
    """Return the completion of a job that ends now, for this reason, without its backend."""
    reason = JobStatusInfo(message, kind=kind)
    return JobCompletionEvent(node.id, node.attempt, kind.status, reason, now, node.started, now)


def end_by_dependency(node: Node, dependency: Node, message: str, now: float) -> JobCompletionEvent:
    """Return the completion of a job that ends now because of another one, and counts as that failure."""
    failure = None if dependency.event is None else dependency.event.reason
    reason = JobStatusInfo(message, kind=FailureKind.DEPENDENCY)
    if failure is not None:
        cause = failure.cause if failure.kind is FailureKind.DEPENDENCY else failure.kind
        reason = attrs.evolve(reason, cause=cause, known=failure.known)
    return JobCompletionEvent(node.id, node.attempt, KILLED, reason, now, node.started, now)


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
    return end_by_dependency(node, dependency, message, now)


def with_known(event: JobCompletionEvent, job: Job, known: KnownFailure | None) -> JobCompletionEvent:
    """Return the completion with which a job ends, with the name of the known failure that it is, if it is one.

    Args:
        event: the completion.
        job: the job.
        known: tells the name; `None` if no failures are known. What it raises is logged, and means that it is none.
    """
    reason = event.reason
    if known is None or reason is None or not is_own_failure_of_design(event):
        return event
    try:
        name = known(job, reason)
    except Exception:  # a function of the user's must not end the run
        logger.exception("whether the failure of job %r is known cannot be told", event.job_id)
        return event
    return event if name is None else attrs.evolve(event, reason=attrs.evolve(reason, known=name))


def is_own_failure_of_design(event: JobCompletionEvent) -> bool:
    """Whether a job did not pass because of the design, and not only because another job did not."""
    is_own = event.reason is None or event.reason.kind is not FailureKind.DEPENDENCY
    return is_own and event.failure_class is FailureClass.DESIGN


def corrected(event: JobCompletionEvent) -> JobCompletionEvent:
    """Return a completion as killed in place of one whose status is not terminal, which breaks the contract."""
    reason = JobStatusInfo(f"its backend completed it as {event.status}", kind=FailureKind.BACKEND_ERROR)
    return attrs.evolve(event, status=KILLED, reason=reason)
