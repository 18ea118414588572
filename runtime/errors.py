"""All errors that callers can meet.

The docstring of each says whose fault it is and whether a retry helps. A job's own failure is never one of these: it is
data, in the job's completion event.
"""

from __future__ import annotations

import errno
from typing import Final

__all__ = (
    "BackendBrokenError",
    "BackendClosedError",
    "DuplicateJobError",
    "GraphError",
    "JournalLockedError",
    "JournalVersionError",
    "RegistryError",
    "ResourceError",
    "SpecError",
    "StatusMoveError",
)


class SpecError(ValueError):
    """A job specification is wrong. The caller's fault; the same specification fails again."""


class GraphError(ValueError):
    """The dependencies have a cycle or an unknown job, or a job is given twice. The caller's fault; nothing was run."""


class ResourceError(ValueError):
    """A job needs a resource that has no limit, or more than the limit. The caller's fault; nothing was run."""


class RegistryError(LookupError):
    """A backend's name is unknown or taken, or what it stands for cannot be imported. The caller's fault."""


class DuplicateJobError(ValueError):
    """A job of this id is live in the backend, or is twice in the call. No job of the call was launched."""


class BackendClosedError(RuntimeError):
    """The backend is not open (not yet, or no longer). A new backend has to be opened; this one stays closed."""


class BackendBrokenError(RuntimeError):
    """The backend cannot go on. Its jobs were killed and completed; a new backend has to be opened."""


class JournalLockedError(RuntimeError):
    """Another process writes the journal of this run, or may do so. A retry helps when that process has ended."""


class JournalVersionError(RuntimeError):
    """A newer version of this package has written the journal. Only that version can read it; nothing was changed."""


class StatusMoveError(RuntimeError):
    """A job was to make a move that is not in `LEGAL_MOVES`. A bug in the backend; nothing was changed."""


BUSY_ERRORS: Final = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of a system that is out of resources: the same call may succeed later."""


def is_out_of_resources(error: BaseException) -> bool:
    """Whether an error means that the system is out of resources: what failed may work later."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in BUSY_ERRORS)


NO_FSYNC: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""Errors of a file system that has no fsync, or of a seccomp filter that denies it."""

NO_MEMORY: Final = "there is not enough memory for the runtime itself"
"""The message for an error that `is_out_of_memory`."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is a `MemoryError`, or a group of nothing else. That is no bug, wherever it is raised."""
    others = error.split(MemoryError)[1] if isinstance(error, BaseExceptionGroup) else error
    return others is None or isinstance(others, MemoryError)
