"""What a plan returns: the actions to carry out, and the status changes to publish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from runtime.job import JobCompletionEvent, JobStatus
from runtime.scheduler.graph import Node


@attrs.frozen
class Submit:
    """Submit these jobs to their backend."""

    backend: str
    nodes: Sequence[Node]


@attrs.frozen
class Kill:
    """Kill these jobs, which their backend has."""

    backend: str
    ids: Sequence[str]
    by: str
    force: bool


Action = Submit | Kill


@attrs.frozen
class StatusChange:
    """A job went from one status to another; if `old` equals `new`, only `note` has changed."""

    job: Any
    id: str
    old: JobStatus
    new: JobStatus
    at: float
    """When it happened, in seconds of `trio.current_time`."""
    note: str | None = None
    """Where the job waits or runs, as its backend describes it."""
    event: JobCompletionEvent | None = None
    """The completion, when `new` is terminal."""
