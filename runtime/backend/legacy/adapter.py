"""`LegacyLauncherAdapter`: a backend that runs old blocking launchers. How it calls them: see `driver`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import ClassVar, Final

from runtime.backend.contract.backend import DRAIN_TIMEOUT, RuntimeBackend, check_limit
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.legacy.call_batches import LauncherWorkers
from runtime.backend.legacy.driver import AdapterDriver, CallDeadlines, LauncherOptions
from runtime.backend.legacy.duck_typing import INTERACTIVE, class_name, limit_of, name_of, reading_class
from runtime.backend.legacy.isolation import Isolation, check_importable
from runtime.backend.legacy.job_view import named_paths, view_for
from runtime.backend.legacy.launcher import AnyLauncher, LauncherClass, View
from runtime.backend.legacy.launcher_threads import ThreadWorkers
from runtime.job import JobPaths
from runtime.job.numbers import brief
from runtime.job.protocol import Specification

DEFAULT_POLL_FREQ: Final = 1.0
"""Seconds between ticks if a class has no `poll_freq`; as in DVSim."""


class LegacyLauncherAdapter(RuntimeBackend):
    """A backend that runs any class with `launch()`, `poll()` and `kill()`, built as ``launcher_cls(job)``, unmodified.

    For every limit, `None` means the default, and 0 no limit.

    Args:
        launcher_cls: the class; one object is built for each job.
        name: the backend's name; `None` for the class's `variant`, or its name in lower case without ``launcher``.
        view: a function from a job to the constructor's argument. `None` converts a `JobSpec` to DVSim's form for
            launchers that have a `prepare_workspace`, and passes all other jobs on unchanged.
        poll_interval: seconds between two ticks of polls, 0 for none; `None` for the class's `poll_freq`.
        max_polls_per_interval: how many jobs are polled per tick; `None` for the class's `max_poll`.
        max_parallelism: how many jobs may be live; `None` for the class's `max_parallel`.
        kill_threads: how many launchers are killed concurrently; 1 for a class that is not thread-safe.
        stall_timeout: seconds after which a poll counts as stalled, and other calls no longer wait for it.
        launch_timeout: seconds that building or launching may take; interactive jobs have no such limit.
        poll_timeout: seconds that a poll may take before it is abandoned.
        kill_timeout: seconds that a kill may take, and that it waits for another call of the same launcher.
        poll_error_limit: how many polls of a job may fail in a row before the job is killed.
        isolated: whether the launchers live in a process and session of their own: for classes that hold the
            interpreter's lock, crash, need the main thread (for `signal.alarm`, say), or whose children must not get
            the terminal's Ctrl-C. The class, the view and all jobs must pickle, and no job can be interactive.
        drain_timeout: as in `RuntimeBackend`.

    Raises:
        TypeError: if `launcher_cls` is not a class with these three methods.
        ValueError: if a limit, here or in the class, is not a valid number; if `isolated` and another process cannot
            import the class.
    """

    workers_factory: ClassVar[Callable[[], LauncherWorkers]] = ThreadWorkers
    """Makes the launcher threads; tests use one with virtual time."""

    def __init__(
        self,
        launcher_cls: LauncherClass,
        *,
        name: str | None = None,
        view: View | None = None,
        poll_interval: float | None = None,
        max_polls_per_interval: int | None = None,
        max_parallelism: int | None = None,
        kill_threads: int | None = 64,
        stall_timeout: float | None = 1,
        launch_timeout: float | None = 120,
        poll_timeout: float | None = 120,
        kill_timeout: float | None = 30,
        poll_error_limit: int | None = 3,
        isolated: bool = False,
        drain_timeout: float = DRAIN_TIMEOUT,
    ) -> None:
        with reading_class(launcher_cls):
            cls = _checked_class(launcher_cls)
            variant, self._owner = name_of(cls), class_name(cls)
            at_once = _whole(limit_of(cls, "max_parallel", "max_parallelism", max_parallelism))
            is_interactive = bool(getattr(cls, "supports_interactive", variant in INTERACTIVE))
            if poll_interval is None and not hasattr(cls, "poll_freq"):
                poll_interval = DEFAULT_POLL_FREQ
            interval = limit_of(cls, "poll_freq", "poll_interval", poll_interval, whole=False)
            at_most = _whole(limit_of(cls, "max_poll", "max_polls_per_interval", max_polls_per_interval))
            view = view_for(cls) if view is None else view
            if _flag("isolated", isolated):
                check_importable(cls)
                is_interactive = False  # that process has no terminal
        super().__init__(
            name=variant if name is None else name, max_parallelism=at_once or 0, drain_timeout=drain_timeout
        )
        self.launcher_cls = cls
        self.supports_interactive = is_interactive
        self.poll_interval: float = interval or 0.0
        """Seconds between two ticks."""
        self.max_polls_per_interval = at_most
        """How many jobs are polled per tick; `None` for all."""
        self._kill_threads = _limit("kill_threads", kill_threads, 64, whole=True)
        self._poll_error_limit = _limit("poll_error_limit", poll_error_limit, 3, whole=True)
        poll_deadline = _limit("poll_timeout", poll_timeout, 120)
        self._call_deadlines = CallDeadlines(
            launch=_limit("launch_timeout", launch_timeout, 120),
            stall=min(_limit("stall_timeout", stall_timeout, 1), poll_deadline),
            poll=poll_deadline,
            kill=_limit("kill_timeout", kill_timeout, 30),
        )
        self._make: Callable[[Specification], AnyLauncher] = (
            cls if view is None else functools.partial(_make, cls, view)
        )
        self._view = view
        self._paths_of: Callable[[object], JobPaths | None] = getattr(view, "paths_of", named_paths)
        self._is_isolated = isolated

    def paths_of(self, job: object) -> JobPaths | None:
        """See `RuntimeBackend`. Of a job that is given to a launcher unchanged, the paths that the job names."""
        try:
            return self._paths_of(job)
        except Exception:  # noqa: BLE001 - a foreign job's attributes run foreign code
            return None

    def make_driver(self, control: Control) -> Driver:
        """Return a driver for the launchers of one block."""
        options = LauncherOptions(
            self._owner,
            self._make,
            self.paths_of,
            self._call_deadlines,
            self._kill_threads,
            self._poll_error_limit,
            self.poll_interval,
            self.max_polls_per_interval or math.inf,
        )
        isolation = Isolation(self.launcher_cls, self._view) if self._is_isolated else None
        return AdapterDriver(control, options, type(self).workers_factory(), isolation)


def _checked_class(launcher_cls: object) -> type:
    missing = [name for name in ("launch", "poll", "kill") if not callable(getattr(launcher_cls, name, None))]
    if not isinstance(launcher_cls, type) or missing:
        lacks = f", which lacks {', '.join(missing)}" if missing else ""
        raise TypeError(f"launcher_cls is {launcher_cls!r}{lacks}; expected a class with launch(), poll() and kill()")
    return launcher_cls


def _limit(what: str, given: float | None, default: float, *, whole: bool = False) -> float:
    limit = check_limit(f"LegacyLauncherAdapter: {what}", given, default, whole=whole)
    return math.inf if limit is None else limit


def _flag(what: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise ValueError(f"LegacyLauncherAdapter: {what} is {brief(given)}; expected True or False")
    return given


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)


def _make(launcher_cls: LauncherClass, view: View, spec: Specification) -> AnyLauncher:
    return launcher_cls(view(spec))
