"""`plan_resumption`: what a run that is resumed keeps, and what it runs, found out before anything starts.

::

    the run directory ──► its lock ──► its journal ──► decisions ──► leftovers end ──► the scheduler

The lock comes first: until it is taken, another process may still run the run, and add to its journal. A dry run only
looks, and takes no lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.job_paths import job_paths
from runtime.cli.decisions import decide_with_links, outputs_now
from runtime.cli.earlier import Earlier
from runtime.cli.keep_plan import KeepPlan
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError
from runtime.journal.digests import digests
from runtime.journal.recorder import Origin
from runtime.journal.records import OutputIdentity
from runtime.journal.replay import RunState
from runtime.journal.resume import JobToResume, first_attempts
from runtime.process.environment import HERE_VARIABLE
from runtime.process.guard.procfs import describe
from runtime.process.leftovers import end_leftovers


def end_what_is_left(token: str) -> None:
    """End the processes that earlier segments of a run have left on this machine. Blocks, for a bounded time.

    Raises:
        InputError: if one cannot be ended.
    """
    left = end_leftovers(HERE_VARIABLE, token)
    if left:
        raise InputError(
            f"{', '.join(describe(left))} of this run cannot be killed, so its jobs cannot be run again; expected to be"
            " able to end all that is left of it, which its file system may prevent"
        )


def plan_resumption(earlier: Earlier, jobs: Sequence[JobSpec], backends: Mapping[str, RuntimeBackend]) -> KeepPlan:
    """Return what becomes of each job. Blocks.

    Args:
        earlier: what was before.
        jobs: of today's run.
        backends: of today's run, by name.

    Raises:
        InputError: if the file system of an output directory does not answer.
    """
    state, run_dir = earlier.state, str(earlier.run_dir)
    to_resume = [
        JobToResume(job.id, its_digest, job.dependencies) for job, its_digest in zip(jobs, digests(jobs), strict=True)
    ]
    outputs = outputs_now(earlier, to_resume)
    of_others = [job.id for job in jobs if state.numbers.get(job.id) in state.origins]
    decisions, links = decide_with_links(state, jobs, to_resume, outputs, of_others, run_dir)
    outliving = {name for name, backend in backends.items() if backend.jobs_outlive_runtime}
    decisions, attempts = first_attempts(state, to_resume, decisions, outliving)
    attempts_before = {
        job.id: state.earlier(number)
        for job in to_resume
        if not decisions[job.id].keep
        and (number := state.numbers.get(job.id)) is not None
        and state.digest(number) == job.digest
    }
    return KeepPlan(
        decisions=decisions,
        state=state,
        title="resumed",
        first_attempts=attempts,
        earlier=attempts_before,
        origins={
            job_id: Origin(run, state.revision(state.numbers[job_id]))
            for job_id, run in state.origins_by_id().items()
            if job_id in decisions and decisions[job_id].keep
        },
        links=links,
        removed=_removed(state, to_resume, outputs),
        places=[job_paths(job, run_dir).odir for job in jobs if not decisions[job.id].keep],
    )


def _removed(
    state: RunState, jobs: Sequence[JobToResume], outputs: Mapping[str, OutputIdentity | None]
) -> dict[str, str | None]:
    """Return by id the output directories that were removed, or about to be: the path of each that is as it was."""
    found: dict[str, str | None] = {}
    for job in jobs:
        number = state.numbers.get(job.id)
        if number is None or not state.is_removed(number):
            continue
        event, then = state.result(number), state.output(number)
        found[job.id] = None
        if event is None or event.paths is None or then is None or then.log_size is None:
            continue
        # By its log, too: somebody may have made another directory since, which has got the same inode.
        if then == outputs.get(job.id) and event.paths.log.startswith(f"{event.paths.odir}/"):
            found[job.id] = event.paths.odir
    return found
