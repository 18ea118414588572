"""`Retries`: the jobs that wait for another attempt, and the attempts that were tried again. Pure.

Who asks for a retry is the job, by its `Retry`; whether it may start again, the plan knows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final, NamedTuple

import attrs

from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus, JobStatusInfo, Retry
from runtime.job.attempts import paths_of_earlier
from runtime.job.protocol import Job
from runtime.job.status import PASSED
from runtime.scheduler.graph import DELAYED, NOWHERE, Node


def retry_of(job: Job) -> Retry | None:
    """Return the `Retry` of a job; `None` if it has none. Foreign jobs may have one, too."""
    retry = getattr(job, "retry", None)
    return retry if isinstance(retry, Retry) else None


class Waiting(NamedTuple):
    """A job that waits for another attempt."""

    due: float
    """When, in seconds of the clock of all events."""
    rank: int
    """Of the job: the order of those that are due together."""
    node: Node


class Retries:
    """Decides which failures are retried and when, and remembers them."""

    def __init__(self) -> None:
        self.failures: Final[dict[str, list[JobCompletionEvent]]] = {}
        """By id of a job that is tried again: the completions of the attempts that are followed by another one, with
        the paths that their files have when that has begun. Some may be of an earlier process."""
        self._last: Final[dict[str, JobCompletionEvent]] = {}
        """By id of a job that was tried again in this process: the last of them, with the paths that it came with."""
        self.waiting: Final[list[Waiting]] = []
        """A heap of the jobs that wait, by when they are due and by rank. One that has ended meanwhile stays in it, and
        is skipped: to remove it from the middle would cost more."""

    def delay_after(self, node: Node, event: JobCompletionEvent) -> float | None:
        """Return the seconds after which a job is tried again after this completion; `None` if it is not."""
        retry = retry_of(node.job)
        failures = self.failures.get(node.id, ())
        if event.status is PASSED or retry is None or not retry.allows(event.kind, [each.kind for each in failures]):
            return None
        return retry.wait(node.id, len(failures) + 1)

    def add(self, node: Node, event: JobCompletionEvent, due: float) -> JobCompletionEvent:
        """Let a job, whose last attempt has ended with this completion, wait for the next one.

        Returns:
            The completion with the paths that the files have when the next attempt has begun.
        """
        earlier = _earlier(node, event)
        self.failures.setdefault(node.id, []).append(earlier)
        self._last[node.id] = event
        node.place = DELAYED
        heapq.heappush(self.waiting, Waiting(due, node.rank, node))
        return earlier

    def continue_from(self, events: Iterable[JobCompletionEvent]) -> None:
        """Take completions of attempts of an earlier process, which was to try their jobs again."""
        for event in events:
            self.failures.setdefault(event.job_id, []).append(event)

    def take_due(self, now: float) -> list[Node]:
        """Take out and return the jobs that are due, in their order."""
        due: list[Node] = []
        while self.waiting and self.waiting[0].due <= now:
            node = heapq.heappop(self.waiting).node
            if node.place is DELAYED:
                node.place = NOWHERE
                due.append(node)
        return due

    def last_end(self, node: Node) -> JobCompletionEvent | None:
        """Return the completion of the last attempt at a job that waits for another one; `None` if it does not.

        From the submission of the next attempt on, that one has an end of its own.
        """
        last = self._last.get(node.id)
        if last is None or last.attempt < node.attempt:
            return None
        return attrs.evolve(last, earlier=tuple(self.failures[node.id][:-1]))

    def concluded(self, node: Node, event: JobCompletionEvent) -> JobCompletionEvent:
        """Return the completion with which a job ends, after this one of its last attempt: with the earlier ones."""
        failures = self.failures.get(node.id)
        if not failures:
            return event
        event = attrs.evolve(event, earlier=tuple(failures))
        retry = retry_of(node.job)
        if event.is_flaky and retry is not None and retry.flaky == "fail":
            reason = JobStatusInfo(_flaky_message(event), kind=FailureKind.FLAKY)
            event = attrs.evolve(event, status=JobStatus.FAILED, reason=reason)
        return event

    def sanity_check(self, nodes: list[Node]) -> None:
        """Check every invariant. For tests.

        Raises:
            AssertionError: if one does not hold.
        """
        waiting = [each.node.id for each in self.waiting if each.node.place is DELAYED]
        assert sorted(waiting) == sorted(node.id for node in nodes if node.place is DELAYED)
        assert all(node.attempt >= len(self.failures.get(node.id, ())) for node in nodes if node.attempt)


def _earlier(node: Node, event: JobCompletionEvent) -> JobCompletionEvent:
    """Return the completion of an attempt, with the paths that its files have after a later one has begun."""
    job = node.job
    if event.paths is None:
        return event
    if not isinstance(job, JobSpec) or not node.queue.backlog.keeps_attempts:
        return attrs.evolve(event, paths=None)  # nobody knows
    return attrs.evolve(event, paths=paths_of_earlier(job, event.paths, event.attempt))


def _flaky_message(event: JobCompletionEvent) -> str:
    last = event.earlier[-1]
    why = "it did not pass" if last.reason is None else last.reason.message
    return f"flaky: it passed on attempt {event.attempt}; on attempt {last.attempt}: {why}"
