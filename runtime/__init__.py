"""A structured-concurrency job runtime on trio.

Backends run job specifications: as processes of this machine, as jobs of a cluster, or through any blocking launcher
class. Each job that a backend accepts produces exactly one completion event, which a trio channel carries to the
scheduler; the scheduler decides what runs next. `run_jobs` runs jobs with the scheduler of this package;
`RuntimeBackend.open` opens a backend for another scheduler. This module re-exports the public names, and nothing else.

A name is imported when it is first used, so that a program loads only what it uses: ``job-runtime --help`` does without
trio, and a program with a backend of its own without local processes. The errors and the registry are small, and are
imported at once.
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
    JournalLockedError,
    JournalVersionError,
    RegistryError,
    ResourceError,
    SpecError,
    StatusMoveError,
)

if TYPE_CHECKING:
    from runtime.backend.contract.backend import BackendOptions, BackendStatistics, CommonOptions, RuntimeBackend
    from runtime.backend.contract.control import Control, JobEnd
    from runtime.backend.contract.driver import Driver
    from runtime.backend.contract.live import LiveJob, StopCause
    from runtime.backend.contract.open_backend import BackendState
    from runtime.backend.fake import FakeBackend, FakePolicy, FakeRun
    from runtime.backend.gridengine import GridEngineBackend
    from runtime.backend.legacy import (
        AnyLauncher,
        ErrorMessage,
        Launcher,
        LauncherBusyError,
        LauncherError,
        LegacyLauncherAdapter,
    )
    from runtime.backend.local import LocalBackend
    from runtime.backend.lsf import LsfBackend
    from runtime.backend.slurm import SlurmBackend
    from runtime.job import (
        DEFAULT_KINDS,
        CustomKind,
        EventBatch,
        FailureClass,
        FailureKind,
        JobCompletionEvent,
        JobHandle,
        JobPaths,
        JobProgressEvent,
        JobResult,
        JobSpec,
        JobStatus,
        JobStatusInfo,
        JobUsage,
        Kind,
        Kinds,
        Retry,
        RunIf,
    )
    from runtime.job.protocol import Job
    from runtime.scheduler.priorities import Priority
    from runtime.scheduler.providers import ResourceProvider
    from runtime.scheduler.run import Scheduler, run_jobs
    from runtime.scheduler.statistics import SchedulerStatistics
    from runtime.scheduler.statuses import StatusChange
    from runtime.scheduler.stream import StatusStream
else:
    # The same names for the interpreter. A type checker must not see `__getattr__`: it would accept any name.
    _LAZY_IMPORTS = {
        "runtime.backend.contract.backend": "BackendOptions BackendStatistics CommonOptions RuntimeBackend",
        "runtime.backend.contract.control": "Control JobEnd",
        "runtime.backend.contract.driver": "Driver",
        "runtime.backend.contract.live": "LiveJob StopCause",
        "runtime.backend.contract.open_backend": "BackendState",
        "runtime.backend.fake": "FakeBackend FakePolicy FakeRun",
        "runtime.backend.legacy": "AnyLauncher ErrorMessage Launcher LauncherBusyError LauncherError"
        " LegacyLauncherAdapter",
        "runtime.backend.gridengine": "GridEngineBackend",
        "runtime.backend.local": "LocalBackend",
        "runtime.backend.lsf": "LsfBackend",
        "runtime.backend.slurm": "SlurmBackend",
        "runtime.job": "CustomKind DEFAULT_KINDS EventBatch FailureClass FailureKind JobCompletionEvent JobHandle"
        " JobPaths JobProgressEvent JobResult"
        " JobSpec JobStatus JobStatusInfo JobUsage Kind Kinds Retry RunIf",
        "runtime.job.protocol": "Job",
        "runtime.scheduler.statistics": "SchedulerStatistics",
        "runtime.scheduler.priorities": "Priority",
        "runtime.scheduler.providers": "ResourceProvider",
        "runtime.scheduler.run": "Scheduler run_jobs",
        "runtime.scheduler.statuses": "StatusChange",
        "runtime.scheduler.stream": "StatusStream",
    }

    def __getattr__(name: str) -> object:
        """Import a public name from its module, and keep it."""
        for module, names in _LAZY_IMPORTS.items():
            if name in names.split():
                found = globals()[name] = getattr(importlib.import_module(module), name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = (
    "DEFAULT_KINDS",
    "AnyLauncher",
    "BackendBrokenError",
    "BackendClosedError",
    "BackendOptions",
    "BackendRegistry",
    "BackendState",
    "BackendStatistics",
    "CommonOptions",
    "Control",
    "CustomKind",
    "Driver",
    "DuplicateJobError",
    "ErrorMessage",
    "EventBatch",
    "FailureClass",
    "FailureKind",
    "FakeBackend",
    "FakePolicy",
    "FakeRun",
    "GraphError",
    "GridEngineBackend",
    "Job",
    "JobCompletionEvent",
    "JobEnd",
    "JobHandle",
    "JobPaths",
    "JobProgressEvent",
    "JobResult",
    "JobSpec",
    "JobStatus",
    "JobStatusInfo",
    "JobUsage",
    "JournalLockedError",
    "JournalVersionError",
    "Kind",
    "Kinds",
    "Launcher",
    "LauncherBusyError",
    "LauncherError",
    "LegacyLauncherAdapter",
    "LiveJob",
    "LocalBackend",
    "LsfBackend",
    "Priority",
    "RegistryError",
    "ResourceError",
    "ResourceProvider",
    "Retry",
    "RunIf",
    "RuntimeBackend",
    "Scheduler",
    "SchedulerStatistics",
    "SlurmBackend",
    "SpecError",
    "StatusChange",
    "StatusMoveError",
    "StatusStream",
    "StopCause",
    "backends",
    "run_jobs",
)
