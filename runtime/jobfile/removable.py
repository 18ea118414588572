"""Which output directories may be removed when their jobs have passed: those that are a job's own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.backend.job_paths import job_paths
from runtime.job import JobPaths, JobSpec
from runtime.jobfile.errors import InputError, shown
from runtime.jobfile.expand import RESERVED
from runtime.jobfile.regression import Regression
from runtime.jobfile.values import Keep

REMOVED_ENDING: Final = "~removed"
"""What the name of a directory ends with while it is removed. A safe id has no tilde, so only an `odir` can be in its
way."""

_SEVERAL: Final = ""
"""Stands for several jobs in the place of the id of one. No id is empty."""


def removable_odirs(
    regression: Regression, jobs: Sequence[JobSpec], run_dir: Path, keep: Keep | None = None
) -> Mapping[str, str]:
    """Return the output directories that are removed when their jobs have passed, by the ids of the jobs.

    A directory is a job's own if it is below the run directory, not one of the run itself, and has no file of another
    job in it, nor is in the output directory of another job.

    Args:
        regression: what the job files say.
        jobs: of the run.
        run_dir: the run directory; absolute.
        keep: for all jobs, instead of their keys; then a directory that is not a job's own stays. `None` for the keys.

    Raises:
        InputError: for a job with ``keep = "failed"`` in a job file whose output directory is not its own.
    """
    entries = {entry.name: entry for entry in regression.entries}
    chosen = [job for job in jobs if (keep or entries[job.name].table.keep) == "failed"]
    if not chosen:
        return {}
    paths = {job.id: job_paths(job, str(run_dir)) for job in jobs}
    check = _Ownership(paths, str(run_dir))
    found: dict[str, str] = {}
    for job in chosen:
        why = check.why_not(job.id)
        if why is None:
            found[job.id] = paths[job.id].odir
        elif keep is None:
            raise InputError(
                f'{entries[job.name].where}: keep is "failed", and the output directory of job {shown(job.id)},'
                f' {paths[job.id].odir}, {why}; expected keep = "all", or an odir of its own below the run directory'
            )
    return found


class _Ownership:
    """Which job uses which directory below the run directory."""

    def __init__(self, paths: Mapping[str, JobPaths], run_dir: str) -> None:
        self._paths = paths
        self._below = f"{run_dir.rstrip('/')}/"
        self._odirs: dict[str, str] = {}
        """Output directory to the id of the first job that has it."""
        self._users: dict[str, str] = {}
        """Directory to the id of the only job with a file in it, or `_SEVERAL`."""
        for job_id, its in paths.items():
            self._odirs.setdefault(its.odir, job_id)
            for path in (its.odir, its.log):
                for directory in self._upwards(path):
                    if self._users.setdefault(directory, job_id) != job_id:
                        self._users[directory] = _SEVERAL

    def _upwards(self, path: str) -> Iterator[str]:
        """Yield a path and the directories above it, up to the run directory."""
        while path.startswith(self._below):
            yield path
            path = path.rpartition("/")[0]

    def why_not(self, job_id: str) -> str | None:
        """Return why the output directory of a job is not its own, as the end of a sentence; `None` if it is."""
        odir = self._paths[job_id].odir
        if not odir.startswith(self._below):
            return "is not below the run directory"
        if odir[len(self._below) :].partition("/")[0] in RESERVED:
            return "is one of the run itself"
        if self._users[odir] != job_id:
            return f"has files of job {shown(self._other_in(odir, job_id))}, too"
        if f"{odir}{REMOVED_ENDING}" in self._users:
            return f"is beside {odir}{REMOVED_ENDING}, the name that it has while it is removed"
        other = next(
            (self._odirs[above] for above in self._upwards(odir) if above != odir and above in self._odirs), None
        )
        return None if other is None else f"is in that of job {shown(other)}"

    def _other_in(self, odir: str, job_id: str) -> str:
        return next(
            other
            for other, its in self._paths.items()
            if other != job_id and any(f"{path}/".startswith(f"{odir}/") for path in (its.odir, its.log))
        )
