"""How do jobs run on an LSF cluster?"""

from runtime.backend.lsf.backend import LsfBackend

__all__ = ("LsfBackend",)
