"""`Statuses`: every change of a job's status goes through here, where it is checked, counted, and kept for watchers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar, cast

import attrs

from runtime.job import JobCompletionEvent, JobStatus, check_move
from runtime.job.protocol import Job
from runtime.job.status import QUEUED, SCHEDULED
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
        self.unfinished: int = 0
        """How many jobs have not ended."""
        self.changes: list[StatusChange[Job]] | None = None
        """Changes since a watcher last emptied it; `None` while there is no watcher, to save making them."""
        self.completions: list[JobCompletionEvent] | None = None
        """Completions since the journal was last told of them; `None` without a journal."""
        self.retried: list[JobCompletionEvent] = []
        """Likewise, completions of attempts at jobs that are tried again; empty without a journal."""

    def add(self, count: int) -> None:
        """Count new jobs, which are SCHEDULED."""
        self.counts[JobStatus.SCHEDULED] += count
        self.unfinished += count

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
        changes = self.changes
        old, moved = new, 0  # so many have come from `old`: checked and counted together, as most come from one status
        for node in nodes:
            if node.status is not old:
                self._count(old, new, moved)
                old, moved = node.status, 0
                if old is not new:
                    check_move(old, new)
            node.status = new
            moved += 1
            if changes is not None:
                when = node.started if at is None else at
                assert when is not None
                changes.append(StatusChange(node.job, node.id, old, new, when, note, event))
        self._count(old, new, moved)

    def try_again(self, node: Node, event: JobCompletionEvent, note: str) -> None:
        """Move a job to QUEUED, because its last attempt has ended with `event`, and it is tried again."""
        if self.completions is not None:
            self.retried.append(event)
        self.move((node,), QUEUED, event.ended, note, event)

    def end(self, nodes: Sequence[Node]) -> None:
        """Move jobs to the statuses of their completions, which are set.

        Raises:
            StatusMoveError: as `move` does.
        """
        self.unfinished -= len(nodes)
        changes = self.changes
        old = new = SCHEDULED
        moved = 0  # as in `move`
        for node in nodes:
            event = node.event
            assert event is not None
            if event.status is not new or node.status is not old:
                self._count(old, new, moved)
                old, new, moved = node.status, event.status, 0
                check_move(old, new)
            node.status = new
            moved += 1
            if changes is not None:
                changes.append(StatusChange(node.job, node.id, old, new, event.ended, None, event))
        self._count(old, new, moved)
        if self.completions is not None:
            # None of them is `None`: see above.
            self.completions += cast("list[JobCompletionEvent]", [node.event for node in nodes])

    def _count(self, old: JobStatus, new: JobStatus, jobs: int) -> None:
        self.counts[old] -= jobs
        self.counts[new] += jobs
