"""A structured-concurrency job runtime on trio.

You hand it job specifications; backends run them (processes of this machine, or any old blocking launcher class
through an adapter); every job that a backend accepts produces exactly one completion event, which comes back over a
trio channel; a scheduler consumes those events and decides what runs next. `run_jobs` is the short way in;
`RuntimeBackend.open` is the one for whoever brings a scheduler of their own. This module re-exports the public names,
and nothing else.
"""

from runtime.backends.backend import RuntimeBackend
from runtime.backends.fake import FakeBackend
from runtime.backends.legacy import ErrorMessage, Launcher, LauncherBusyError, LauncherError, LegacyLauncherAdapter
from runtime.backends.local import LocalBackend
from runtime.backends.registry import BackendRegistry, backends
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
    "SpecError",
    "StatusMoveError",
    "backends",
    "run_jobs",
)
