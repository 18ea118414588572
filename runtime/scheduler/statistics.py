"""`SchedulerStatistics`: the numbers of a run at a moment. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from runtime.job import JobStatus


@attrs.frozen
class SchedulerStatistics:
    """A snapshot of a run."""

    counts: Mapping[JobStatus, int]
    """How many jobs are in each status."""
    total: int
    unfinished: int
    never_ran: int
    """Of the jobs that were killed, those that ended before they began to run."""
    counted: Mapping[str, int]
    """How many jobs that have ended are counted as which of `runtime.job.counting.COUNTED_AS`."""
    in_flight: int
    """Jobs that were submitted to a backend and have not completed."""
    stray_events: int
    """Events that were dropped, because they belong to no attempt in flight."""
    resources: Mapping[str, tuple[int, int | None]]
    """Name to the amount held and the limit."""
    lacking: Sequence[str] = ()
    """The names of the resources that jobs wait for which could start otherwise, sorted."""
