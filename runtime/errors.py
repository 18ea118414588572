"""The errors that callers can meet, all of them, flat.

Each says whose fault it is and whether trying again helps. A job's own failure is never one of these: it is data, in
the job's completion event.
"""

from __future__ import annotations

from typing import Final

__all__ = (
    "BackendBrokenError",
    "BackendClosedError",
    "DuplicateJobError",
    "GraphError",
    "RegistryError",
    "ResourceError",
    "SpecError",
    "StatusMoveError",
)


class SpecError(ValueError):
    """A job specification is wrong. The caller's fault; the same specification fails again."""


class GraphError(ValueError):
    """The jobs do not form a graph: a cycle, an unknown dependency, a job given twice. Nothing was run."""


class ResourceError(ValueError):
    """A job asks for a resource that has no limit, or for more than there can be. Nothing was run."""


class RegistryError(LookupError):
    """A backend's name is unknown, is taken, or what it stands for cannot be imported."""


class DuplicateJobError(ValueError):
    """A job of this id is live in the backend, or stands twice in the call. Nothing of the call was launched."""


class BackendClosedError(RuntimeError):
    """The backend is not open (not yet, or no longer). A new backend has to be opened; this one stays closed."""


class BackendBrokenError(RuntimeError):
    """The backend cannot go on. Its jobs were killed and completed; a new backend has to be opened."""


class StatusMoveError(RuntimeError):
    """A job was told to make a move that the table of legal moves does not have. A bug; nothing was changed."""


NO_MEMORY: Final = "there is not enough memory for the runtime itself"
"""What is said when `is_want_of_memory`."""


def is_want_of_memory(error: BaseException) -> bool:
    """Whether `error` is want of memory and nothing else, in groups or not: no bug, wherever it showed."""
    others = error.split(MemoryError)[1] if isinstance(error, BaseExceptionGroup) else error
    return others is None or isinstance(others, MemoryError)
