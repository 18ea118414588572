"""Jobs on a Slurm cluster."""

from runtime.backends.slurm.backend import SlurmBackend

__all__ = ("SlurmBackend",)
