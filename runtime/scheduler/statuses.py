"""`Statuses`: every change of a job's status goes through here, where it is checked, counted, and kept for watchers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import attrs

from runtime.job import JobCompletionEvent, JobStatus, check_move
from runtime.job.protocol import Job
from runtime.job.status import QUEUED
from runtime.scheduler.graph import Node

_JobT_co = TypeVar("_JobT_co", covariant=True)


@attrs.frozen
class StatusChange(Generic[_JobT_co]):
    """A job went from one status to another; if `old` equals `new`, only `note` has changed."""

    job: _JobT_co
    id: str
    old: JobStatus
    new: JobStatus
    at: float
    """When it happened, in seconds of `trio.current_time`."""
    note: str | None = None
    """Where the job waits or runs, as its backend describes it."""
    event: JobCompletionEvent | None = None
    """The completion, when `new` is terminal; or that of an attempt after which the job is tried again, when `new` is
    QUEUED."""


class Statuses:
    """How many jobs are in each status, and the changes that watchers have not seen yet."""

    def __init__(self) -> None:
        self.counts: dict[JobStatus, int] = dict.fromkeys(JobStatus, 0)
        """How many jobs are in each status."""
        self.changes: list[StatusChange[Job]] | None = None
        """Changes since a watcher last emptied it; `None` while there is no watcher, to save making them."""
        self.completions: list[JobCompletionEvent] | None = None
        """Completions since the journal was last told of them; `None` without a journal."""

    def add(self, count: int) -> None:
        """Count new jobs, which are SCHEDULED."""
        self.counts[JobStatus.SCHEDULED] += count

    def move(
        self,
        nodes: Iterable[Node],
        new: JobStatus,
        at: float | None = None,
        note: str | None = None,
        event: JobCompletionEvent | None = None,
    ) -> None:
        """Move jobs to another status, or note something new about the one that they have.

        Args:
            nodes: the jobs.
            new: the status.
            at: when; `None` for jobs that run: when each was `started`.
            note: for watchers.
            event: of the attempt that has ended, if the jobs move because of it.

        Raises:
            StatusMoveError: if `LEGAL_MOVES` does not have the move. It is a bug of the plan.
        """
        counts, changes = self.counts, self.changes
        checked = new
        for node in nodes:
            old = node.status
            if old is not new:
                if old is not checked:  # checked once for many jobs, as most come from the same status
                    check_move(old, new)
                    checked = old
                node.status = new
                counts[old] -= 1
                counts[new] += 1
            if changes is not None:
                when = node.started if at is None else at
                assert when is not None
                changes.append(StatusChange(node.job, node.id, old, new, when, note, event))

    def try_again(self, node: Node, event: JobCompletionEvent, note: str) -> None:
        """Move a job to QUEUED, because its last attempt has ended with `event`, and it is tried again."""
        if self.completions is not None:
            self.completions.append(event)
        self.move((node,), QUEUED, event.ended, note, event)

    def end(self, nodes: Iterable[Node]) -> None:
        """Move jobs to the statuses of their completions, which are set.

        Raises:
            StatusMoveError: as `move` does.
        """
        counts, changes = self.counts, self.changes
        completions = self.completions
        checked_old = checked_new = None
        for node in nodes:
            event = node.event
            assert event is not None
            old, new = node.status, event.status
            if old is not checked_old or new is not checked_new:  # as in `move`
                check_move(old, new)
                checked_old, checked_new = old, new
            node.status = new
            counts[old] -= 1
            counts[new] += 1
            if changes is not None:
                changes.append(StatusChange(node.job, node.id, old, new, event.ended, None, event))
            if completions is not None:
                completions.append(event)
