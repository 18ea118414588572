"""A structured-concurrency job runtime on trio.

You hand it job specifications; backends run them (processes of this machine, or any old blocking launcher class
through an adapter); every job that a backend accepts produces exactly one completion event, which comes back over a
trio channel; a scheduler consumes those events and decides what runs next. `run_jobs` is the short way in;
`RuntimeBackend.open` is the one for whoever brings a scheduler of their own. This module re-exports the public names,
and nothing else.

A name is imported when it is first asked for, so that a program pays for what it uses: ``job-runtime --help`` needs no
trio, and a program with a backend of its own no local processes. What is here at once is small, the errors, or must be:
`backends` is the registry, and would become the package of that name if a module of the package were imported first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from runtime.backend.registry import BackendRegistry, backends
from runtime.errors import (
    BackendBrokenError,
    BackendClosedError,
    DuplicateJobError,
    GraphError,
    RegistryError,
    ResourceError,
    SpecError,
    StatusMoveError,
)

if TYPE_CHECKING:
    from runtime.backend.backend import RuntimeBackend
    from runtime.backend.fake import FakeBackend
    from runtime.backend.legacy import ErrorMessage, Launcher, LauncherBusyError, LauncherError, LegacyLauncherAdapter
    from runtime.backend.local import LocalBackend
    from runtime.backend.slurm import SlurmBackend
    from runtime.job import (
        EventBatch,
        FailureKind,
        JobCompletionEvent,
        JobHandle,
        JobProgressEvent,
        JobResult,
        JobSpec,
        JobStatus,
        JobStatusInfo,
        JobUsage,
    )
    from runtime.scheduler.run import Scheduler, run_jobs
else:
    # The same again, for Python. (A type checker must not see `__getattr__`: it would take any name for a public one.)
    _HOMES = {
        "runtime.backend.backend": ("RuntimeBackend",),
        "runtime.backend.fake": ("FakeBackend",),
        "runtime.backend.legacy": (
            "ErrorMessage",
            "Launcher",
            "LauncherBusyError",
            "LauncherError",
            "LegacyLauncherAdapter",
        ),
        "runtime.backend.local": ("LocalBackend",),
        "runtime.backend.slurm": ("SlurmBackend",),
        "runtime.job": (
            "EventBatch",
            "FailureKind",
            "JobCompletionEvent",
            "JobHandle",
            "JobProgressEvent",
            "JobResult",
            "JobSpec",
            "JobStatus",
            "JobStatusInfo",
            "JobUsage",
        ),
        "runtime.scheduler.run": ("Scheduler", "run_jobs"),
    }

    def __getattr__(name: str) -> object:
        """Import a public name from where it lives, and keep it."""
        for module, names in _HOMES.items():
            if name in names:
                found = globals()[name] = getattr(importlib.import_module(module), name)
                return found
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = (
    "BackendBrokenError",
    "BackendClosedError",
    "BackendRegistry",
    "DuplicateJobError",
    "ErrorMessage",
    "EventBatch",
    "FailureKind",
    "FakeBackend",
    "GraphError",
    "JobCompletionEvent",
    "JobHandle",
    "JobProgressEvent",
    "JobResult",
    "JobSpec",
    "JobStatus",
    "JobStatusInfo",
    "JobUsage",
    "Launcher",
    "LauncherBusyError",
    "LauncherError",
    "LegacyLauncherAdapter",
    "LocalBackend",
    "RegistryError",
    "ResourceError",
    "RuntimeBackend",
    "Scheduler",
    "SlurmBackend",
    "SpecError",
    "StatusMoveError",
    "backends",
    "run_jobs",
)
