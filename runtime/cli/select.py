"""`select`: the jobs that ``--select`` names or matches, and all that they depend on."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Sequence
from typing import Final

import attrs

from runtime.job import JobSpec
from runtime.job.shorten import some_of
from runtime.jobfile.errors import InputError, shown
from runtime.report.text import printable

MAX_SEEDS: Final = 5
"""Seeds that a message lists. Arbitrary: ten times more would make a message of several lines."""

_SEED: Final = re.compile(r"(.+)\.seed=([0-9]+)", re.DOTALL)


@attrs.frozen
class DrawnSeeds:
    """Which seeds are drawn from the seed base."""

    names: Collection[str] = ()
    """Names of the job tables whose seeds are drawn."""
    base: int = 0
    given: bool = True
    """Whether the user gave the base; else it is random."""


def select(
    jobs: Sequence[JobSpec],
    globs: Sequence[str],
    drawn: DrawnSeeds | None = None,
    *,
    exclude: Sequence[str] = (),
    only: Collection[str] | None = None,
) -> list[JobSpec]:
    """Return the jobs that `globs` select, and their dependencies, in the order of `jobs`; without globs, all jobs.

    Text that is the id of a job, its name or a tag, as it is or as ``list`` prints it, selects exactly those, whatever
    brackets it has. Other text is a glob for ids, names and tags.

    Args:
        jobs: all jobs of the run.
        globs: the values of ``--select``.
        drawn: which jobs have drawn seeds, for the message about an id with another seed.
        exclude: the values of ``--exclude``, of the same kind: these jobs are not selected; one that a selected job
            needs is a part of the result all the same.
        only: ids; no other job is selected.

    Raises:
        InputError: if one of `globs` selects no job, or one of `exclude` matches none, or nothing is left.
    """
    if not globs and not exclude and only is None:
        return list(jobs)
    return with_needs(jobs, choose(jobs, globs, drawn, exclude=exclude, only=only))


def choose(
    jobs: Sequence[JobSpec],
    globs: Sequence[str],
    drawn: DrawnSeeds | None = None,
    *,
    exclude: Sequence[str] = (),
    only: Collection[str] | None = None,
) -> set[str]:
    """Return the ids of the jobs that `select` selects themselves, and not because others need them.

    Raises:
        InputError: as `select`.
    """
    drawn = drawn or DrawnSeeds()
    found = {name for glob in globs for name in _matches("--select", glob, jobs, drawn)}
    found = found if globs else {job.id for job in jobs}
    excluded = {name for glob in exclude for name in _matches("--exclude", glob, jobs, drawn)}
    left = found - excluded if only is None else (found - excluded) & set(only)
    if not left:
        raise InputError("no job is left to run: all that were selected are excluded; expected at least one")
    return left


def with_needs(jobs: Sequence[JobSpec], ids: Collection[str]) -> list[JobSpec]:
    """Return the jobs with these ids, and all that they need, in the order of `jobs`."""
    selected = dict.fromkeys(ids)
    by_id = {job.id: job for job in jobs}
    left = list(selected)
    while left:
        for needed in by_id[left.pop()].dependencies:
            if needed not in selected:
                selected[needed] = None
                left.append(needed)
    return [job for job in jobs if job.id in selected]


def _matches(option: str, glob: str, jobs: Sequence[JobSpec], drawn: DrawnSeeds) -> list[str]:
    """Return the ids of the jobs that the value of an option names or matches."""
    found = [job.id for job in jobs if glob in _names(job) or glob in map(printable, _names(job))]
    if not found:
        matches = re.compile(fnmatch.translate(glob)).match
        found = [job.id for job in jobs if any(map(matches, _names(job)))]
    if not found:
        raise InputError(_no_match(option, glob, jobs, drawn))
    return found


def _names(job: JobSpec) -> tuple[str, ...]:
    return job.id, job.name, *job.tags


def _no_match(option: str, glob: str, jobs: Sequence[JobSpec], drawn: DrawnSeeds) -> str:
    """Return the message about a glob that selects no job."""
    if (parts := _SEED.fullmatch(glob)) and (others := [job for job in jobs if _is_of(job, parts[1])]):
        seeds = ", ".join(str(job.seed) for job in others[:MAX_SEEDS])
        text = f"{option} {shown(glob)}: in this run {shown(parts[1])} has no seed {parts[2]}, but {seeds}"
        if len(others) > MAX_SEEDS:
            text += f" and {len(others) - MAX_SEEDS} more"
        if others[0].name not in drawn.names:
            return text
        base = f"{drawn.base}, which was given" if drawn.given else f"{drawn.base}, which is random unless it is given"
        return (
            f"{text}, drawn from the seed base {base}; expected --seed-base with that of the run that had this id"
            " (its title and its results.json say it), and as many seeds"
        )
    some = some_of([shown(name) for name in dict.fromkeys(job.name for job in jobs)], 12)
    return f"{option} {shown(glob)} matches no job's id, name or tag; expected, for example: {some}"


def _is_of(job: JobSpec, base_id: str) -> bool:
    """Whether `base_id` is the id of `job` without its seed, as it is or as ``list`` prints it."""
    names = (job.id, printable(job.id))
    return job.seed is not None and base_id in (name.removesuffix(f".seed={job.seed}") for name in names)
