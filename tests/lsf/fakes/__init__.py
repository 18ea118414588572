"""A fake LSF: the fake Slurm's server, controller and processes, with the programs of IBM Spectrum LSF 10.1.

It is made from the documentation alone: no real LSF has been asked yet.
"""

from __future__ import annotations

from typing import Final

from runtime.backend.lsf import LsfBackend
from tests.lsf.fakes.commands import Commands
from tests.slurm.fakes.controller import Settings
from tests.slurm.fakes.dialect import Dialect
from tests.slurm.fakes.jobs import Job
from tests.slurm.fakes.system import FakeSystem


def environment(job: Job) -> dict[str, str]:
    """Return the variables that LSF sets for a job, besides those of bsub."""
    node, cpus = job.node or "", job.request.cpus
    return {
        "LSB_BATCH_JID": f"{job.array_id}[{job.index}]",
        "LSB_HOSTS": " ".join([node] * cpus),
        "LSB_JOBID": str(job.array_id),
        "LSB_JOBINDEX": str(job.index or 0),
        "LSB_JOBNAME": f"{job.request.name}[{job.index}]",
        "LSB_MCPU_HOSTS": f"{node} {cpus} ",
        "LSB_QUEUE": "normal",
        "LSB_TRAPSIGS": "trap # 15 10 12 2 1",
        "LS_SUBCWD": "/",
        "LSFUSER": "root",
        **({"LSB_RESTART": "Y"} if job.restarts else {}),
    }


LSF: Final = Dialect(
    programs=("bsub", "bjobs", "bkill", "bmod", "bparams", "lsid"),
    submits="bsub",
    commands=Commands,
    environment=environment,
    backend=LsfBackend,
    module="runtime.backend.lsf.system",
    first_index=1,
)


class FakeLsf(FakeSystem):
    """Replaces LSF while its block lasts.

    Args:
        settings: what a site decides; change them at any time.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(LSF, settings)
