"""`plan_rerun`: what a new run keeps of an earlier one, and what it runs, found out before anything starts.

A specification is compared as it would be in the earlier run: the commands of two runs differ in ``{run_dir}`` alone,
and the link in the new run directory leads to the same files.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import attrs
import trio

from runtime.cli.decisions import decide_with_links, outputs_now
from runtime.cli.earlier import Earlier
from runtime.cli.keep_plan import KeepPlan
from runtime.cli.linked_directories import origin_directories
from runtime.cli.provenance import git_state
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError, shown
from runtime.journal.digests import digests
from runtime.journal.json_text import JSON
from runtime.journal.recorder import Origin
from runtime.journal.replay import RunState, replay
from runtime.journal.resume import JobToResume

_CHOSEN = "it was chosen to run again"
_DIGITS = 12
"""Of a revision in a message: as many as git shows of one in a large repository."""


class Needs(enum.Enum):
    """What becomes of the jobs that others need, and that passed in the earlier run as they are today."""

    FROM_SAME_TREE = "same tree"
    """A result is kept if the source tree is clean, was clean, and has the same revision."""
    KEPT = "kept"
    """All are kept. The others run."""
    MUST_BE_KEPT = "must be kept"
    """All are kept, and it is an error if one cannot be."""


@attrs.frozen(kw_only=True)
class Rerun:
    """What a new run takes from an earlier one."""

    named: Collection[str]
    """Ids of the jobs that run in any case."""
    needs: Needs
    source_directory: Path
    """A directory in the source tree, whose revision counts."""


def plan_rerun(
    rerun: Rerun, earlier: Earlier, jobs: Sequence[JobSpec], as_then: Mapping[str, JobSpec], run_dir: Path
) -> KeepPlan:
    """Return what becomes of each job. Blocks, for a bounded time.

    Args:
        rerun: what is taken.
        earlier: the run that it is taken from.
        jobs: of today's run: those that are named, and all that they need.
        as_then: by id: the specification of each job of today, as it would be in the directory of the earlier run.
        run_dir: of today's run.

    Raises:
        InputError: if a file system does not answer; or if a need is not kept that must be.
    """
    real = earlier.roots.run.real
    state = earlier.state if real == str(earlier.run_dir) else replay(earlier.records, real)
    obstacles = dict.fromkeys(rerun.named, _CHOSEN)
    if rerun.needs is Needs.FROM_SAME_TREE:
        obstacles = {**_of_other_trees(rerun, state, jobs, run_dir.parent), **obstacles}
    to_resume = [
        JobToResume(job.id, its_digest, job.dependencies, obstacles.get(job.id, ""))
        for job, its_digest in zip(jobs, digests([as_then[job.id] for job in jobs]), strict=True)
    ]
    outputs = outputs_now(earlier, to_resume)
    ids = [job.id for job in jobs]
    decisions, links = decide_with_links(state, jobs, to_resume, outputs, ids, str(run_dir))
    again = [job_id for job_id in ids if decisions[job_id].reason == obstacles.get(job_id, _CHOSEN) != _CHOSEN]
    note = f"built again: {decisions[again[0]].reason}; --keep-builds keeps what passed" if again else None
    plan = KeepPlan(
        decisions=decisions,
        state=state,
        title=f"of {earlier.run_dir.name}",
        note=note,
        origins={job_id: _origin(state, job_id, earlier) for job_id in ids if decisions[job_id].keep},
        links=links,
        directories={real, *origin_directories(state)},
    )
    if rerun.needs is Needs.MUST_BE_KEPT:
        _check_kept(plan, rerun.named, jobs, earlier.run_dir.name)
    return plan


def _origin(state: RunState, job_id: str, earlier: Earlier) -> Origin:
    """Return where a result is from: the earlier run, or the run whose result that has kept."""
    number = state.numbers[job_id]
    run = state.origins.get(number, earlier.run_dir.name)
    return Origin(run, state.revision(number), removed=state.is_removed(number))


def _of_other_trees(rerun: Rerun, state: RunState, jobs: Sequence[JobSpec], out: Path) -> dict[str, str]:
    """Return which needs were made of another source tree than today's, by id, and in what it differs."""
    needs = [job.id for job in jobs if job.id not in rerun.named and job.id in state.numbers]
    if not needs:
        return {}
    tree = trio.run(git_state, str(rerun.source_directory), str(out))
    why = {job_id: _difference(state.revision(state.numbers[job_id]), tree) for job_id in needs}
    return {job_id: reason for job_id, reason in why.items() if reason is not None}


def _difference(then: str | None, now: Mapping[str, JSON] | None) -> str | None:
    """Return in what today's source tree differs from that of a result, as far as is known; `None` if in nothing."""
    if now is None:
        return "the job file is in no git tree whose revision could be compared"
    if now["clean"] is not True:
        return "the tree has changes that are not committed"
    if then is None:
        return "the tree had changes that were not committed, or its revision then is not known"
    if now["revision"] != then:
        return f"the tree is at {str(now['revision'])[:_DIGITS]}, and was at {then[:_DIGITS]}"
    return None


def _check_kept(plan: KeepPlan, named: Collection[str], jobs: Sequence[JobSpec], run: str) -> None:
    """Raise `InputError` if a job is not kept that is not named."""
    missing = [job for job in jobs if not plan.decisions[job.id].keep and job.id not in named]
    if not missing:
        return
    # The message is about a cause, if there is one, and not about a job that needs others which are not kept.
    causes = (job for job in missing if all(plan.decisions[need].keep for need in job.dependencies))
    job = next(causes, missing[0])
    raise InputError(
        f"{shown(job.id)} is needed, and cannot be kept of the run {run}: {plan.decisions[job.id].reason}; expected a"
        " run in which it stands, or job-runtime run FILE without --without-needs, which runs it again"
    )
