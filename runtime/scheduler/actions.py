"""What a plan says: what is to be done, and what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from runtime.job import JobCompletionEvent, JobStatus
from runtime.scheduler.graph import Node


@attrs.frozen
class Submit:
    """Hand these jobs to their backend."""

    backend: str
    nodes: Sequence[Node]


@attrs.frozen
class Kill:
    """Tell a backend to end these jobs."""

    backend: str
    ids: Sequence[str]
    by: str
    force: bool


Action = Submit | Kill


@attrs.frozen
class StatusChange:
    """A job went from one status to another, or (with `old` equal to `new`) there is news of where it waits or runs."""

    job: Any
    id: str
    old: JobStatus
    new: JobStatus
    at: float
    """When, in seconds of `trio.current_time`."""
    note: str | None = None
    event: JobCompletionEvent | None = None
    """The completion, when `new` is terminal."""
