"""Which results are kept, with what the journal cannot tell: the outputs as they are now, and the links to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from runtime.cli.earlier import Earlier
from runtime.cli.linked_directories import plan_links
from runtime.cli.timed_calls import call_each_with_timeout
from runtime.job import JobSpec
from runtime.job.status import PASSED
from runtime.journal.outputs import OutputFinder
from runtime.journal.records import OutputIdentity
from runtime.journal.replay import RunState
from runtime.journal.resume import Decision, JobToResume, decide


def decide_with_links(
    state: RunState,
    jobs: Sequence[JobSpec],
    to_resume: Sequence[JobToResume],
    outputs: Mapping[str, OutputIdentity | None],
    of_others: Collection[str],
    run_dir: str,
) -> tuple[dict[str, Decision], Mapping[str, str]]:
    """Return the decisions about all jobs of a run, and the links that it needs; see `plan_links`. Pure.

    Args:
        state: of the run whose results may be kept; absolute paths in it have no symbolic links.
        jobs: of today's run.
        to_resume: the same jobs, in the same order.
        outputs: as `outputs_now` returns them.
        of_others: ids of the jobs whose results are of another run than today's.
        run_dir: of today's run.
    """
    # A directory that was removed is needed by no job that runs.
    targets = {job_id: _odir(state, job_id) for job_id in of_others if not _is_removed(state, job_id)}
    while True:
        decisions = decide(state, to_resume, outputs.get)
        plan = plan_links(jobs, decisions, targets, run_dir)
        if not plan.obstacles:
            return decisions, plan.links
        # More jobs run now, in directories of their own, which may be in the way of others: look again.
        to_resume = [attrs.evolve(job, obstacle=plan.obstacles.get(job.id, job.obstacle)) for job in to_resume]


def outputs_now(earlier: Earlier, jobs: Sequence[JobToResume]) -> dict[str, OutputIdentity | None]:
    """Return what identifies the output of each job that may be kept, or that was removed, as it is now. Blocks.

    Raises:
        InputError: if the file system of an output directory does not answer.
    """
    state, finder = earlier.state, OutputFinder(earlier.roots)
    ids: dict[str, list[str]] = {}
    for job in jobs:
        number = state.numbers.get(job.id)
        if number is None or state.statuses[number] is not PASSED:
            continue
        if state.digest(number) != job.digest and not state.is_removed(number):
            continue
        event = state.result(number)
        if event is not None and event.paths is not None:
            ids.setdefault(event.paths.odir, []).append(job.id)
    found: dict[str, OutputIdentity | None] = {}

    def look(odir: str) -> None:
        for job_id in ids[odir]:
            event = state.result(state.numbers[job_id])
            assert event is not None
            assert event.paths is not None
            found[job_id] = finder.find(event.paths)

    call_each_with_timeout(look, ids, what="the output directory")
    return found


def _odir(state: RunState, job_id: str) -> str | None:
    """Return the output directory of a job, if it has one that is known."""
    number = state.numbers.get(job_id)
    event = None if number is None else state.result(number)
    return None if event is None else event.odir


def _is_removed(state: RunState, job_id: str) -> bool:
    """Whether the output directory of a job was removed, as it passed."""
    number = state.numbers.get(job_id)
    return number is not None and state.is_removed(number)
