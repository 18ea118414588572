"""How do jobs run on a Slurm cluster?"""

from runtime.backend.slurm.backend import SlurmBackend

__all__ = ("SlurmBackend",)
