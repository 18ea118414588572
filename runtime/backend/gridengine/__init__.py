"""How do jobs run on a Grid Engine cluster?"""

from runtime.backend.gridengine.backend import GridEngineBackend

__all__ = ("GridEngineBackend",)
