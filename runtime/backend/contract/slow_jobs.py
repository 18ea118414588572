"""`SlowJobs`: names each job that runs for longer than its `slow`, once for each time that it begins to run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from runtime.backend.contract.courier import Courier
from runtime.backend.contract.deadlines import Deadlines
from runtime.backend.contract.live import LiveJob
from runtime.job import JobProgressEvent, JobSpec
from runtime.job.status import RUNNING

logger: Final = logging.getLogger("runtime.backend")


class SlowJobs:
    """Logs a warning of each slow job, and posts a progress event with the same note.

    Args:
        deadlines: those of the jobs, so that time in which they stood still does not count.
        courier: delivers the events.
        has_ended: whether a job has ended, so that only its completion is missing.
        now: returns the time, in seconds of the event loop's clock.
    """

    def __init__(
        self,
        deadlines: Deadlines,
        courier: Courier,
        has_ended: Callable[[LiveJob], bool],
        now: Callable[[], float],
    ) -> None:
        self._deadlines = deadlines
        self._courier = courier
        self._has_ended = has_ended
        self._now = now

    def watch(self, job: LiveJob) -> None:
        """Watch a job that has begun to run just now. Does nothing if its specification is no `JobSpec`."""
        spec = job.spec
        # The `slow` of a foreign specification may mean another thing.
        if isinstance(spec, JobSpec) and spec.slow is not None and job.started is not None:
            self._deadlines.add(job.started + spec.slow, job, self._name)

    def _name(self, job: LiveJob) -> None:
        now, seconds = self._now(), job.spec.slow
        if job.started is None or now < job.started + seconds or job.stop is not None or self._has_ended(job):
            return  # it went back to the queue, perhaps to run again: that time has a deadline of its own
        note = f"slow: has run for longer than {seconds:g} s"
        logger.warning("job %r is %s", job.id, note)
        self._courier.post_progress(JobProgressEvent(job.id, job.attempt, RUNNING, now, note))
