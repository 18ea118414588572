"""Where the files of a job of a past run are."""

from __future__ import annotations

import os

from runtime.backend.job_paths import usual_odir
from runtime.job import JobPaths
from runtime.journal.replay import RunState


def paths_of(state: RunState, number: int) -> JobPaths:
    """Return where the files of a job are; of one that has not ended, where most backends put them.

    Args:
        state: of the run.
        number: the number of the job.
    """
    result = state.result(number)
    if result is not None and result.paths is not None:
        return result.paths
    job = state.description(number)
    odir = usual_odir(job.id, state.run_dir) if job.odir is None else job.odir
    paths = JobPaths(odir, job.log_path or f"{odir}/job.log", job.cwd or odir)
    return JobPaths(*map(os.path.normpath, (paths.odir, paths.log, paths.cwd)))
