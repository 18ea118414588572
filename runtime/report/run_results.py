"""The results of a run as its journal tells them, each job once, whatever has become of the run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from runtime.job import FailureKind, JobCompletionEvent, JobResult, JobStatus, JobStatusInfo
from runtime.job.status import KILLED, SCHEDULED, TERMINAL
from runtime.journal.descriptions import JobDescription
from runtime.journal.replay import RunState, Segment
from runtime.report.counts import ENDS, NEVER_RAN

NOT_BEGUN: Final = JobStatusInfo("the run ended before this job began", kind=FailureKind.CANCELLED)
"""The reason of a job that had not begun when the run died."""
NOT_OBSERVED: Final = JobStatusInfo("the run ended before this job did; its end is not known", kind=FailureKind.LOST)
"""The reason of a job that was in flight when the run died."""

UNFINISHED: Final = "unfinished"
"""The key of the jobs of a live run that have not ended, in their counts."""


@attrs.frozen
class KnownResult:
    """What is known of the result of one job."""

    job: JobDescription
    status: JobStatus
    attempt: int
    """The last attempt, from 1; 0 if there was none."""
    result: JobResult[JobDescription] | None
    """`None` if the job has not ended, and the run lives."""
    is_recorded: bool
    """Whether `result` is in the journal. If not, it is what the death of the run means for the job: its times are 0,
    and say nothing."""
    segment: Segment | None = None
    """The segment in which it ended; `None` if that is not known."""
    origin: str | None = None
    """The name of the run that the result is of, if that is another run."""


def known_results(state: RunState, *, is_live: bool) -> Iterator[KnownResult]:
    """Yield what is known of each job, in the order of the ids in the journal.

    Args:
        state: of the run.
        is_live: whether a process runs the run, so that jobs which have not ended may still do so.
    """
    for job_id, number in state.numbers.items():
        job = state.description(number)
        status, attempt = state.statuses[number], state.attempts[number]
        event = state.result(number)
        if event is not None:
            result = JobResult(job, event)
            yield KnownResult(
                job, status, event.attempt, result, True, state.segment(number), state.origins.get(number)
            )
        elif is_live:
            yield KnownResult(job, status, attempt, None, False)
        else:
            reason = NOT_BEGUN if status is SCHEDULED else NOT_OBSERVED
            event = JobCompletionEvent(job_id, attempt, JobStatus.KILLED, reason, 0, None, 0)
            yield KnownResult(job, JobStatus.KILLED, attempt, JobResult(job, event), False)


def count_ends(state: RunState, *, is_live: bool) -> Mapping[str, int]:
    """Return how many jobs have which end of `ENDS`, or are `UNFINISHED`: as `known_results`, but quicker."""
    counts = dict.fromkeys((*ENDS, UNFINISHED), 0)
    for number in state.numbers.values():
        status = state.statuses[number]
        if status not in TERMINAL:
            never_began = status is SCHEDULED
            counts[UNFINISHED if is_live else NEVER_RAN if never_began else KILLED.name.lower()] += 1
        elif status is KILLED and (event := state.result(number)) is not None and event.never_ran:
            counts[NEVER_RAN] += 1
        else:
            counts[status.name.lower()] += 1
    return counts
