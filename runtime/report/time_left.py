"""`TimeLeft`: estimates how long a run will take, as it goes. Pure.

A job takes as long as in earlier runs; one that they do not tell of, as long as the mean of those that this run has
completed. What is left of all jobs is divided by how many run now. So a run whose jobs wait for each other takes longer
than that, and one that is still to use all of its slots less.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from runtime.report.expectations import Expectations
from runtime.report.seeds import split_seed

MIN_ENDED: Final = 5
"""Jobs that have to end before their mean is used. Arbitrary: one is no mean, and with ten times more a run of builds
is over before it is told how long it takes."""


@attrs.frozen
class Estimate:
    """An estimate of the time that is left."""

    seconds: float
    runs: int
    """How many earlier runs most of it is from; 0 if it is from this run's mean."""


class TimeLeft:
    """The time that the jobs of a run that have not ended will take. Only `add` and `expect` take longer for more."""

    def __init__(self) -> None:
        self.usual: dict[str, float] = {}
        """The usual run time of each job that has not ended, as far as earlier runs tell it."""
        self._expected: Expectations | None = None
        """`None` while it is not known what they tell."""
        self._jobs: list[tuple[str, int | None]] = []
        """All jobs, until that is known."""
        self._gone: set[str] = set()
        """Those of them that have ended."""
        self._known = 0.0
        """The sum of `usual`."""
        self._ended = 0
        self._seconds = 0.0
        """How long those ran that have ended, together."""

    def add(self, jobs: Iterable[tuple[str, int | None]]) -> None:
        """Add jobs that have not ended, by their ids and seeds."""
        if self._expected is None:
            jobs = list(jobs)
            self._jobs += jobs
            self._gone.difference_update(job_id for job_id, _ in jobs)
            return
        for job_id, seed in jobs if self._expected.seconds else ():
            seconds = self._expected.seconds.get(split_seed(job_id, seed)[0])
            if seconds is not None and job_id not in self.usual:
                self.usual[job_id] = seconds
                self._known += seconds

    def expect(self, expected: Expectations) -> None:
        """Use what earlier runs tell. May be called once."""
        jobs, gone, self._jobs, self._gone = self._jobs, self._gone, [], set()
        self._expected = expected
        self.add((job_id, seed) for job_id, seed in jobs if job_id not in gone)

    def end(self, job_id: str, seconds: float | None) -> None:
        """Take note that a job has ended, after that time in this run; `None` if it was not seen to run."""
        if seconds is not None:
            self._ended += 1
            self._seconds += seconds
        if self._expected is None:
            self._gone.add(job_id)
        elif (usual := self.usual.pop(job_id, None)) is not None:
            self._known -= usual

    def estimate(self, left: int, running: int, elapsed: float) -> Estimate | None:
        """Return an estimate; `None` if there is none yet.

        Args:
            left: how many jobs have not ended.
            running: how many of them run.
            elapsed: for how many seconds these have run, together.
        """
        known = min(len(self.usual), left)
        if running <= 0 or left <= 0:
            return None
        if self._ended >= MIN_ENDED:
            mean = self._seconds / self._ended
        elif known:
            mean = self._known / len(self.usual)
        else:
            return None
        work = max(0.0, self._known + (left - known) * mean - elapsed)
        return Estimate(work / running, self._expected.runs if self._expected and known * 2 >= left else 0)
