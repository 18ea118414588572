"""Which of the jobs to run: those that a glob matches, and all that they need."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from runtime.cli.errors import InputError, shown
from runtime.job import JobSpec


def select(jobs: Sequence[JobSpec], globs: Sequence[str]) -> list[JobSpec]:
    """Return the jobs of which the id, the name or a tag matches one of `globs`, and what they need, in their order.

    Without globs, all of them.

    Raises:
        InputError: if a glob matches no job.
    """
    if not globs:
        return list(jobs)
    by_id = {job.id: job for job in jobs}
    wanted: dict[str, None] = {}
    for glob in globs:
        matches = re.compile(fnmatch.translate(glob)).match
        found = [job.id for job in jobs if matches(job.id) or matches(job.name) or any(map(matches, job.tags))]
        if not found:
            some = ", ".join(shown(name) for name in list(dict.fromkeys(job.name for job in jobs))[:12])
            msg = f"--select {shown(glob)} matches no job's id, name or tag; there are, among others: {some}"
            raise InputError(msg)
        wanted |= dict.fromkeys(found)
    left = list(wanted)
    while left:
        for needed in by_id[left.pop()].dependencies:
            if needed not in wanted:
                wanted[needed] = None
                left.append(needed)
    return [job for job in jobs if job.id in wanted]
