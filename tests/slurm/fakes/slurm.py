"""`FakeSlurm`: the fake with Slurm's programs."""

from __future__ import annotations

from typing import Final

from runtime.backend.slurm import SlurmBackend
from tests.slurm.fakes.commands import Commands
from tests.slurm.fakes.controller import Settings
from tests.slurm.fakes.dialect import Dialect
from tests.slurm.fakes.nodes import slurm_environment
from tests.slurm.fakes.system import FakeSystem

SLURM: Final = Dialect(
    programs=("sbatch", "squeue", "scancel", "scontrol", "sacct"),
    submits="sbatch",
    commands=Commands,
    environment=slurm_environment,
    backend=SlurmBackend,
    module="runtime.backend.slurm.system",
)


class FakeSlurm(FakeSystem):
    """Replaces Slurm while its block lasts.

    Args:
        settings: what a site decides; change them at any time.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(SLURM, settings)
