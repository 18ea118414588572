"""Where the files of an attempt at a job are after a later attempt has begun. Pure.

Each attempt has the same paths, so its command and the jobs that need it find the same names; before it begins, what
the attempt before left is renamed.
"""

from __future__ import annotations

from runtime.job.events import JobPaths
from runtime.job.spec import JobSpec


def name_of_earlier(name: str, attempt: int) -> str:
    """Return the name that a directory or a log of an attempt has once a later one has begun."""
    return f"{name}~attempt{attempt}"  # a safe id has no tilde, so no other job has this directory


def renames_odir(spec: JobSpec) -> bool:
    """Whether the output directory of a job is renamed before another attempt; if not, only its log is.

    A directory that the job file names, and that the job does not begin empty, may be that of other jobs as well.
    """
    return spec.odir is None or spec.renew_odir


def paths_of_last(paths: JobPaths, attempt: int) -> JobPaths:
    """Return the paths that the files of an attempt have as long as no later one has begun.

    Args:
        paths: what `paths_of_earlier` returned for it.
        attempt: its number.
    """
    ending, below = name_of_earlier("", attempt), f"{paths.odir}/"
    odir = paths.odir.removesuffix(ending)

    is_renamed = odir != paths.odir
    log, cwd = paths.log, paths.cwd
    log = f"{odir}/{log[len(below) :]}" if is_renamed and log.startswith(below) else log.removesuffix(ending)
    if is_renamed and f"{cwd}/".startswith(below):
        cwd = odir + cwd[len(paths.odir) :]
    return JobPaths(odir, log, cwd)


def paths_of_earlier(spec: JobSpec, paths: JobPaths, attempt: int) -> JobPaths:
    """Return the paths that the files of an attempt have once a later one has begun.

    Args:
        spec: the job.
        paths: what they were during the attempt.
        attempt: its number.
    """
    if not renames_odir(spec):
        return JobPaths(paths.odir, name_of_earlier(paths.log, attempt), paths.cwd)
    odir = name_of_earlier(paths.odir, attempt)
    below = f"{paths.odir}/"
    log = f"{odir}/{paths.log[len(below) :]}" if paths.log.startswith(below) else name_of_earlier(paths.log, attempt)
    if paths.cwd == paths.odir:
        return JobPaths(odir, log, odir)
    return JobPaths(odir, log, f"{odir}/{paths.cwd[len(below) :]}" if paths.cwd.startswith(below) else paths.cwd)
