"""The names that somebody who writes a launcher needs. None of them is needed by a launcher that exists already.

A launcher is any class with `launch()`, `poll()` and `kill()` that is built as ``launcher_cls(job)``; it may block. The
adapter knows launchers, their statuses and their exceptions by shape (see `shape`), so deriving from `Launcher` is a
convenience, and raising these very classes is one too.
"""

from __future__ import annotations

import abc
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs


class LauncherError(Exception):
    """A launcher could not do what it was asked to. From `launch`: the job cannot be launched."""


class LauncherBusyError(Exception):
    """From `launch`: the place is too busy for this job, and nothing of it runs. Trying again later helps."""


@attrs.frozen
class ErrorMessage:
    """Why a job failed, as a launcher says it in its `fail_msg`."""

    message: str
    """One line that tells failures apart."""
    line_number: int | None = None
    """The line of the log that says so, from 1."""
    context: Sequence[str] = ()
    """Lines of the log around it."""


class Launcher(abc.ABC):
    """A base class for launchers, with the attributes that the adapter reads.

    Args:
        job: what to launch, a `JobSpec` or whatever the adapter's `view` made of it.
    """

    variant: ClassVar[str | None] = None
    """The name of the backend; `None` for the class's name in lower case without ``launcher``."""
    max_parallel: ClassVar[int | None] = sys.maxsize
    """How many jobs may be live at once; `sys.maxsize`, 0 or `None`: no limit."""
    max_poll: ClassVar[int | None] = 0
    """How many jobs are polled in one tick; 0 or `None`: all."""
    poll_freq: ClassVar[float | None] = 1
    """Seconds between two ticks; 0 or `None`: at once."""

    fail_msg: Any = None
    """After a bad end, an `ErrorMessage` or what looks like one, set on the instance."""
    job_runtime: Any = None
    """After the end, the run time that the tool reports: seconds, or anything with ``get() -> (time, unit)``."""
    simulated_time: Any = None
    """After the end, the simulated time that the tool reports, as above."""

    def __init__(self, job: Any) -> None:
        self.job = job

    @abc.abstractmethod
    def launch(self) -> None:
        """Launch the job. Raise `LauncherBusyError` to be asked again later, anything else if it cannot be launched."""

    @abc.abstractmethod
    def poll(self) -> Any:
        """Return how the job is: anything with the `name` of a `JobStatus`. Not called again after a terminal one."""

    @abc.abstractmethod
    def kill(self) -> None:
        """End the job, and return when nothing of it runs. Nothing is called after it."""
