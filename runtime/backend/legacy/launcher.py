"""Names for authors of new launchers. A launcher that exists already needs none of them.

A launcher is any class with `launch()`, `poll()` and `kill()` that is built as ``launcher_cls(job)``; it may block. The
adapter recognises launchers, their statuses and their exceptions by duck typing (see `duck_typing`), so deriving from
`Launcher` and raising these very classes are conveniences.
"""

from __future__ import annotations

import abc
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import attrs


class LauncherError(Exception):
    """A launcher could not do what it was asked to. From `launch`: the job cannot be launched."""


class LauncherBusyError(Exception):
    """From `launch`: there is no capacity for this job now, and nothing of it runs. A later retry can succeed."""


@attrs.frozen
class ErrorMessage:
    """Why a job failed: what a launcher sets as its `fail_msg`."""

    message: str
    """One line that distinguishes this failure from others."""
    line_number: int | None = None
    """The line of the log with the failure, counted from 1."""
    context: Sequence[str] = ()
    """Lines of the log around it."""


class AnyLauncher(Protocol):
    """What every launcher has, as a type checker sees it: any class with these methods is one."""

    def launch(self) -> object:
        """Launch the job."""
        ...

    def poll(self) -> object:
        """Return its status."""
        ...

    def kill(self) -> object:
        """End it."""
        ...


LauncherClass = Callable[[Any], AnyLauncher]
"""A class of launchers, of any author: it is called with a job, in the form that it expects."""

View = Callable[[Any], Any]
"""A function from a job, of the class that the jobs of the run have, to what a launcher class expects."""


class Launcher(abc.ABC):
    """A base class for launchers, with the attributes that the adapter reads.

    Args:
        job: what to launch: a `JobSpec`, or the result of the adapter's `view`.
    """

    variant: ClassVar[str | None] = None
    """The name of the backend; `None` for the class's name in lower case without ``launcher``."""
    max_parallel: ClassVar[int | None] = sys.maxsize
    """How many jobs may be live at once; `sys.maxsize`, 0 or `None`: no limit."""
    max_poll: ClassVar[int | None] = 0
    """How many jobs are polled per tick; 0 or `None`: all."""
    poll_freq: ClassVar[float | None] = 1
    """Seconds between two ticks; 0 or `None`: none."""

    fail_msg: object = None
    """After a failure: an `ErrorMessage` or an object with its attributes, set on the instance."""
    job_runtime: object = None
    """After the end: the run time that the tool reports, in seconds, or an object with ``get() -> (time, unit)``."""
    simulated_time: object = None
    """After the end: the simulated time that the tool reports, in the same form."""

    def __init__(self, job: Any) -> None:
        self.job = job

    @abc.abstractmethod
    def launch(self) -> None:
        """Launch the job. Raise `LauncherBusyError` to be retried later, anything else if it cannot be launched."""

    @abc.abstractmethod
    def poll(self) -> object:
        """Return the status: any object with the `name` of a `JobStatus`. Not called again after a terminal status."""

    @abc.abstractmethod
    def kill(self) -> None:
        """End the job, and return when nothing of it runs. No other method is called after it."""
