"""A fake Grid Engine: the fake Slurm's server, controller and processes, with the programs of Grid Engine 8.1.9.

`tests/gridengine/test_fakes.py` runs the same tests on it and on a real one.
"""

from __future__ import annotations

from typing import Final

from runtime.backend.gridengine import GridEngineBackend
from tests.gridengine.fakes.commands import Commands
from tests.slurm.fakes.controller import Settings
from tests.slurm.fakes.dialect import Dialect
from tests.slurm.fakes.jobs import Job
from tests.slurm.fakes.system import FakeSystem


def environment(job: Job) -> dict[str, str]:
    """Return the variables that Grid Engine sets for a job. That of qsub is not passed on, without ``-V``."""
    size = len(job.request.indices or ())
    return {
        "ARC": "lx-amd64",
        "HOME": "/root",
        "HOSTNAME": job.node or "",
        "JOB_ID": str(job.array_id),
        "JOB_NAME": job.request.name,
        "NSLOTS": str(job.request.cpus),
        "PATH": f"/tmp/{job.array_id}.{job.index}.main.q:/usr/local/bin:/bin:/usr/bin",
        "QUEUE": "main.q",
        "REQUEST": job.request.name,
        "RESTARTED": str(int(job.restarts > 0)),
        "SGE_TASK_FIRST": "1",
        "SGE_TASK_ID": str(job.index),
        "SGE_TASK_LAST": str(size),
        "SGE_TASK_STEPSIZE": "1",
        "SHELL": "/usr/bin/env",
        "TMP": f"/tmp/{job.array_id}.{job.index}.main.q",
        "USER": "root",
    }


GRID_ENGINE: Final = Dialect(
    programs=("qsub", "qstat", "qdel", "qalter", "qconf", "qacct"),
    submits="qsub",
    commands=Commands,
    environment=environment,
    backend=GridEngineBackend,
    module="runtime.backend.gridengine.system",
    first_index=1,
)


class FakeGridEngine(FakeSystem):
    """Replaces Grid Engine while its block lasts.

    Args:
        settings: what a site decides; change them at any time.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(GRID_ENGINE, settings)
