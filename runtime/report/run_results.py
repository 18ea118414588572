"""The results of a run as its journal tells them, each job once, whatever has become of the run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from runtime.job import FailureKind, JobCompletionEvent, JobResult, JobStatus, JobStatusInfo
from runtime.job.attempts import paths_of_last
from runtime.job.counting import COUNTED_AS, counted_as
from runtime.job.status import KILLED, PASSED, SCHEDULED, TERMINAL
from runtime.journal.descriptions import JobDescription
from runtime.journal.replay import RunState
from runtime.journal.segments import Segment

NOT_BEGUN: Final = JobStatusInfo("the run ended before this job began", kind=FailureKind.CANCELLED)
"""The reason of a job that had not begun when the run died."""
NOT_OBSERVED: Final = JobStatusInfo("the run ended before this job did; its end is not known", kind=FailureKind.LOST)
"""The reason of a job that was in flight when the run died."""
NOT_TRIED_AGAIN: Final = "the run ended before this job was tried again; attempt {}: {}"
"""The message of a job that waited for its next attempt when the run died."""

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
    earlier: Sequence[JobCompletionEvent] = ()
    """The completions of the attempts after which it was, or is, tried again; with the paths that their files have."""
    removed: bool = False
    """Whether its output directory was removed, as it passed."""


def known_results(state: RunState, *, is_live: bool) -> Iterator[KnownResult]:
    """Yield what is known of each job, in the order of the ids in the journal.

    Args:
        state: of the run.
        is_live: whether a process runs the run, so that jobs which have not ended may still do so.
    """
    for number in state.numbers.values():
        yield known_result(state, number, is_live=is_live)


def known_result(state: RunState, number: int, *, is_live: bool) -> KnownResult:
    """Return what is known of the job with a number: see `known_results`."""
    job = state.description(number)
    status, attempt = state.statuses[number], state.attempts[number]
    event = state.result(number)
    if event is not None:
        segment, origin = state.segment(number), state.origins.get(number)
        removed = state.is_removed(number)
        return KnownResult(
            job, status, event.attempt, JobResult(job, event), True, segment, origin, event.earlier, removed
        )
    earlier = _earlier(state, number)
    if is_live:
        return KnownResult(job, status, attempt, None, False, earlier=earlier)
    event = _end_by_death(state, number, earlier)
    return KnownResult(job, JobStatus.KILLED, attempt, JobResult(job, event), False, earlier=earlier)


def _earlier(state: RunState, number: int) -> Sequence[JobCompletionEvent]:
    """Return the completions of the earlier attempts at a job that has not ended, with the paths of their files."""
    earlier = state.earlier(number)
    if not state.is_waiting(number):
        return earlier
    *before, last = earlier
    if last.paths is None:
        return earlier
    return (*before, attrs.evolve(last, paths=paths_of_last(last.paths, last.attempt)))


def _end_by_death(state: RunState, number: int, earlier: Sequence[JobCompletionEvent]) -> JobCompletionEvent:
    """Return what the death of the run means for a job that had not ended."""
    if state.is_waiting(number):
        last = earlier[-1]
        why = "it did not pass" if last.reason is None else last.reason.message
        reason = JobStatusInfo(NOT_TRIED_AGAIN.format(last.attempt, why), kind=FailureKind.CANCELLED)
        return attrs.evolve(last, status=KILLED, reason=reason, usage=None, earlier=tuple(earlier))
    reason = NOT_BEGUN if state.statuses[number] is SCHEDULED else NOT_OBSERVED
    job_id, attempt = state.ids[number], state.attempts[number]
    return JobCompletionEvent(job_id, attempt, KILLED, reason, 0, None, 0, earlier=tuple(earlier))


def count_ends(state: RunState, *, is_live: bool) -> Mapping[str, int]:
    """Return how many jobs are counted as which of `COUNTED_AS`, or are `UNFINISHED`: quicker than `known_results`."""
    counts = dict.fromkeys((*COUNTED_AS, UNFINISHED), 0)
    for number in state.numbers.values():
        status = state.statuses[number]
        if status is PASSED:
            counts[COUNTED_AS[0]] += 1
        elif status in TERMINAL:
            event = state.result(number)
            assert event is not None
            counts[counted_as(event)] += 1
        elif is_live:
            counts[UNFINISHED] += 1
        else:
            counts[counted_as(_end_by_death(state, number, _earlier(state, number)))] += 1
    return counts
