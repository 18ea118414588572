"""The jobs that run, and those that wait for a reason that is known, for a display. Pure.

What is asked of them for each picture does not depend on how many there are.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final

from runtime.report.expectations import slow_after
from runtime.report.text import short_duration

MAX_COUNTED_REASONS: Final = 100
"""Reasons that are counted apart. Arbitrary: batch systems have some dozens; ten times more cost time for each picture,
and with one there are no top reasons."""
OTHER_REASONS: Final = "for other reasons"
"""What the others are counted as."""

_MAX_ENDED: Final = 1000
"""Jobs that have ended which are still watched for being slow. Arbitrary: ten times more cost memory, and ten times
fewer time, as they are looked for more often."""

Row = tuple[str, float, str]
"""The id of a job, seconds since it began or was known to wait, and a note."""


class RunningJobs:
    """The jobs that run, the oldest first, and which of them are slow.

    Args:
        usual: how long jobs take usually, in seconds, by id; it may change at any time.
    """

    def __init__(self, usual: Mapping[str, float]) -> None:
        self._usual = usual
        self._jobs: dict[str, tuple[float, str]] = {}
        """By id: since when, and the note."""
        self._starts = 0.0
        """The sum of the times since when they run."""
        self._due: list[tuple[float, str, float]] = []
        """A heap: when a job will be slow, its id, and since when it runs. It may have ended meanwhile."""
        self._slow: dict[str, float] = {}
        """Those that are slow, and how long they take usually."""

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def slow(self) -> int:
        """How many are slow, as of the last `rows`."""
        return len(self._slow)

    def started(self, job_id: str) -> float | None:
        """Return since when a job runs; `None` if it does not."""
        found = self._jobs.get(job_id)
        return None if found is None else found[0]

    def elapsed(self, now: float) -> float:
        """Return for how many seconds the jobs have run, together."""
        return len(self._jobs) * now - self._starts

    def begin(self, job_id: str, at: float, note: str) -> None:
        """Add a job, or its new note: it runs since the first time."""
        before = self._jobs.get(job_id)
        if before is not None:
            self._jobs[job_id] = before[0], note
            return
        self._jobs[job_id] = at, note
        self._starts += at
        if (usual := self._usual.get(job_id)) is not None:
            self._watch(job_id, at, usual)

    def stop(self, job_id: str) -> float | None:
        """Remove a job; return since when it ran, if it did."""
        found = self._jobs.pop(job_id, None)
        if found is None:
            return None
        self._starts -= found[0]
        if self._slow:
            self._slow.pop(job_id, None)
        return found[0]

    def watch_all(self) -> None:
        """Watch the jobs that run already, as it is known now how long jobs take usually."""
        for job_id, (since, _) in self._jobs.items():
            if (usual := self._usual.get(job_id)) is not None:
                self._watch(job_id, since, usual)

    def _watch(self, job_id: str, since: float, usual: float) -> None:
        if len(self._due) > _MAX_ENDED + 2 * len(self._jobs):  # most are of jobs that have ended
            self._due = [each for each in self._due if self.started(each[1]) == each[2]]
            heapq.heapify(self._due)
        heapq.heappush(self._due, (since + slow_after(usual), job_id, since))

    def rows(self, now: float, count: int) -> list[Row]:
        """Return the first `count` jobs, those that are slow before the others."""
        while self._due and self._due[0][0] <= now:
            _, job_id, since = heapq.heappop(self._due)
            if self.started(job_id) == since:
                self._slow[job_id] = self._usual.get(job_id, 0.0)
        found: list[Row] = []
        for job_id, usual in itertools.islice(self._slow.items(), count):
            since, note = self._jobs[job_id]
            slow = f"slow: {short_duration(usual)} usually"
            found.append((job_id, now - since, f"{slow}; {note}" if note else slow))
        others = (item for item in self._jobs.items() if item[0] not in self._slow)
        for job_id, (since, note) in itertools.islice(others, count - len(found)):
            found.append((job_id, now - since, note))
        return found


class WaitingJobs:
    """The jobs of which it is known why they wait, in the order in which that was known first."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[float, str, str]] = {}
        """By id: since when, the note, and what it is counted as."""
        self._reasons: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._jobs)

    def wait(self, job_id: str, at: float, note: str) -> None:
        """Add a job, or its new note."""
        before = self.pop(job_id, keep=True)
        reason = note if note in self._reasons or len(self._reasons) < MAX_COUNTED_REASONS else OTHER_REASONS
        self._reasons[reason] += 1
        self._jobs[job_id] = (at if before is None else before, note, reason)

    def pop(self, job_id: str, *, keep: bool = False) -> float | None:
        """Remove a job, or, with `keep`, only what it is counted as; return since when it waits, if it does."""
        found = self._jobs.get(job_id) if keep else self._jobs.pop(job_id, None)
        if found is None:
            return None
        since, _, reason = found
        self._reasons[reason] -= 1
        if not self._reasons[reason]:
            del self._reasons[reason]
        return since

    def rows(self, now: float, count: int) -> list[Row]:
        """Return the first `count` jobs."""
        first = itertools.islice(self._jobs.items(), count)
        return [(job_id, now - since, note) for job_id, (since, note, _) in first]

    def reasons(self, count: int) -> Sequence[tuple[str, int]]:
        """Return the reasons that most jobs have, and how many these are."""
        return heapq.nlargest(count, self._reasons.items(), key=itemgetter(1))


def reasons_to_wait(
    scheduled: int, queued: int, waiting: WaitingJobs, lacking: Sequence[str], count: int, *, tells_ready: bool = True
) -> list[tuple[str, int]]:
    """Return why jobs wait, and how many for each reason; the most first.

    Args:
        scheduled: how many wait for other jobs.
        queued: how many are ready.
        waiting: those of which a backend says why they wait.
        lacking: the names of the resources that others wait for.
        count: how many of the reasons of backends are told.
        tells_ready: whether jobs that are ready are `queued`; in a journal they are among the `scheduled` ones.
    """
    for_needs = "for what they need" if tells_ready else "for what they need, or to be started"
    for_a_slot = " or ".join(["for a slot", *lacking])
    found: Mapping[str, int] = {for_needs: scheduled, for_a_slot: queued - len(waiting)}
    told = [(reason, jobs) for reason, jobs in found.items() if jobs > 0]
    return sorted([*told, *waiting.reasons(count)], key=lambda each: -each[1])
