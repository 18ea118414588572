"""What a resume keeps and what it runs, with the reason for each job. Pure.

A result is kept if the job passed, on whichever attempt; its specification and its output are those that it had then;
and all that it needs is kept, and ended before it began. Every other job is run. An output directory that the run
itself has removed counts as unchanged, unless a job that needs it is run: then its job runs, too. Whoever resumes the
resume decides the same.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Container, Mapping, Sequence

import attrs

from runtime.job.status import PASSED, SCHEDULED, TERMINAL
from runtime.journal.records import OutputIdentity
from runtime.journal.replay import RunState


@attrs.frozen
class JobToResume:
    """A job of today's run."""

    id: str
    digest: str
    """What `digest` gives for its specification; ``""`` if it is no `JobSpec`."""
    needs: Sequence[str] = ()
    """Ids of the jobs that must end before it starts."""
    obstacle: str = ""
    """Why its result is not kept although it passed and nothing has changed, as the end of a sentence that begins with
    the job; ``""`` for nothing."""


@attrs.frozen
class Decision:
    """What a resume does with a job."""

    keep: bool
    """Whether its result is kept; otherwise the job is run."""
    reason: str
    """Why, as the end of a sentence that begins with the job."""


def decide(
    state: RunState, jobs: Sequence[JobToResume], outputs: Callable[[str], OutputIdentity | None]
) -> dict[str, Decision]:
    """Return for each job, by its id, whether its result is kept or it is run.

    Args:
        state: what the journal tells.
        jobs: all jobs of today's run.
        outputs: returns what identifies the output of a job now, by its id, and `None` if that is gone. It is called
            only for jobs that passed with the specification of today.
    """
    decisions = {job.id: _of_its_own(state, job, outputs) for job in jobs}
    needs = {job.id: job.needs for job in jobs}
    dependents = defaultdict(list)
    for job in jobs:
        for need in job.needs:
            dependents[need].append(job)
    # Each job that runs makes those run that need it, and those that it needs and whose directories were removed; no
    # recursion, because a chain may have any length.
    to_follow = deque(name for name in [*decisions, *dependents] if name not in decisions or not decisions[name].keep)
    while to_follow:
        name = to_follow.popleft()
        for job in dependents[name]:
            if decisions[job.id].keep:
                decisions[job.id] = Decision(keep=False, reason="")
                to_follow.append(job.id)
        for need in needs.get(name, ()):
            if need in decisions and decisions[need].keep and state.is_removed(state.numbers[need]):
                why = f"its output directory was removed, and {name!r} needs it"
                decisions[need] = Decision(keep=False, reason=why)
                to_follow.append(need)
    for job in jobs:
        if not decisions[job.id].reason:  # now that all are known: the first one that it names
            decisions[job.id] = Decision(keep=False, reason=_of_its_needs(job, decisions))
    return decisions


def first_attempts(
    state: RunState, jobs: Sequence[JobToResume], decisions: Mapping[str, Decision], outliving: Container[str]
) -> tuple[dict[str, Decision], dict[str, int]]:
    """Return the decisions, and the number of the first attempt of each job that runs, if that is not 1.

    The attempts of a job go on where those of the journal end, so that no directory and no token is used twice. Only a
    job that may be in flight in a batch system keeps its number, by which it is found there and followed, and its
    decision says so; if it has been lost, it is submitted again. That needs that another run would give the same: its
    specification is the same, and all that it needs is kept, and ended before it began.

    Args:
        state: what the journal tells.
        jobs: all jobs of today's run.
        decisions: what `decide` returned for them.
        outliving: the names of the backends whose jobs outlive the runtime.
    """
    followed = {each.number for each in state.in_flight() if each.backend in outliving}
    told, attempts = dict(decisions), {}
    for job in jobs:
        number = state.numbers.get(job.id)
        if number is None or decisions[job.id].keep or not state.attempts[number]:
            continue
        attempts[job.id] = state.attempts[number] + 1
        if (
            number in followed
            and state.digest(number) == job.digest
            and all(need in decisions and decisions[need].keep for need in job.needs)
            and not any(state.began_before_end_of(number, state.numbers[need]) for need in job.needs)
        ):
            attempts[job.id] = state.attempts[number]
            told[job.id] = Decision(keep=False, reason="it may be in flight, and is followed if it is")
    return told, {job_id: attempt for job_id, attempt in attempts.items() if attempt > 1}


def _of_its_own(state: RunState, job: JobToResume, outputs: Callable[[str], OutputIdentity | None]) -> Decision:
    """Return the decision about a job if everything that it needs is kept."""
    number = state.numbers.get(job.id)
    if number is None:
        return Decision(keep=False, reason="it is not in the journal")
    is_removed = state.is_removed(number)
    why = _changed(state, number, job)
    if why is None and not is_removed:
        why = _moved(state.output(number), outputs(job.id))
    if why is not None:
        return Decision(keep=False, reason=why)
    attempt = state.attempts[number]
    origin = state.origins.get(number)
    where = ("" if attempt == 1 else f" on attempt {attempt}") + ("" if origin is None else f" in the run {origin!r}")
    removed = "; its output directory was removed" if is_removed else ""
    return Decision(keep=True, reason=f"it passed{where}{removed}")


def _changed(state: RunState, number: int, job: JobToResume) -> str | None:
    """Return why the result of a job cannot be kept, as the journal alone tells; `None` if it can."""
    status = state.statuses[number]
    if state.digest(number) != job.digest:
        return "its specification changed"
    if status is SCHEDULED:
        return "it has not run"
    if status not in TERMINAL:
        return "it was to be tried again" if state.is_waiting(number) else "its end is not known"
    if status is not PASSED:
        return "it did not pass"
    if job.obstacle:
        return job.obstacle
    if not job.digest:
        return "its specification cannot be compared"
    for need in job.needs:
        other = state.numbers.get(need)
        if other is not None and state.began_before_end_of(number, other):
            return f"{need!r} ran again after it"
    return None


def _moved(then: OutputIdentity | None, now: OutputIdentity | None) -> str | None:
    """Return in what the output of a job differs from what it was; `None` if in nothing."""
    if then == now:
        return None
    if then is None:
        return "its output directory is not in the journal"
    if now is None:
        return "its output directory is gone"
    if then[:2] != now[:2]:
        return "its output directory is another one"
    return "its log is gone" if now.log_size is None else "its log has another size"


def _of_its_needs(job: JobToResume, decisions: Mapping[str, Decision]) -> str:
    """Return which of the jobs that it needs makes a job run."""
    need = next(need for need in job.needs if need not in decisions or not decisions[need].keep)
    return f"it needs {need!r}, which " + ("runs again" if need in decisions else "is not in this run")
