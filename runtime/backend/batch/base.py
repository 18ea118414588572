"""`BatchBase`: the settings and the state of an open backend for a batch system.

Five classes build on it, each on the one before: `ending` (from a job's end to its completion), `polling` (what has
become of each job), `cancelling`, `adopting`, `submitting`. `BatchDriver` completes them.
"""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs
import trio

from runtime.backend.batch.array_index import ArrayIndex, Observation
from runtime.backend.batch.element import Element, LaunchProgress
from runtime.backend.batch.pace import Pace
from runtime.backend.batch.store import Store
from runtime.backend.batch.system import (
    Limits,
    Row,
    System,
    Unanswered,
)
from runtime.backend.contract.backend import later
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import LiveJob
from runtime.backend.finishing import Finisher
from runtime.backend.job_paths import RootedJobPaths, job_paths
from runtime.process import SoftStep, SoftSteps, in_thread
from runtime.roots import Roots

logger: Final = logging.getLogger("runtime.backend.batch")

T = TypeVar("T")

POLL_INTERVAL: Final = 2.0
"""Seconds between two queries while jobs change. Arbitrary: with 20, each end is seen 10 s late on average; with 0.2, a
run is a load for the controller that all users share."""

VISIBILITY_TIMEOUT: Final = 60.0
"""Seconds that a file on a network file system may appear late. NFS remembers for 60 s at most, by default
(`acdirmax`), that a name is absent. With a tenth, jobs on a slow file system are lost; with ten times as many, each job
that was really lost holds up its dependents for ten minutes."""

KILL_TIMEOUT: Final = 180.0
"""Seconds from the request to stop a job until it must have left the queue. Slurm's default is 30 s from SIGTERM to
SIGKILL (`KillWait`); the rest is for a controller that restarts. Arbitrary: with a tenth, jobs are given up that would
still have ended; with ten times as many, Ctrl-C takes half an hour while the controller is away."""

SOFT_TIMEOUT: Final = 10.0
"""Seconds between the soft step of a stop, if there is one, and the cancel. Arbitrary: long enough for a simulator to
write its coverage, short enough for a person who pressed Ctrl-C."""

MAX_OUTPUT_DIRS: Final = 5
"""Old output directories that are kept of a job. DVSim's default."""

DOUBT_TIMEOUT: Final = 600.0
"""Seconds for which the queue is asked for an array that was in doubt and is not listed: a controller that was slow may
accept it late. Arbitrary: with a tenth, such an array could run unnoticed; with ten times as many, a name is asked for
in vain."""

DEFAULT_LIMITS: Final = Limits("unknown", 1000, accounting=False)
"""The limits of a system that did not answer when the backend was opened."""


@attrs.frozen
class BatchSettings:
    """The arguments of a backend for a batch system, checked."""

    system: System
    poll_interval: float
    visibility_timeout: float
    kill_timeout: float | None
    max_output_dirs: int | None
    soft_steps: SoftSteps
    has_soft_stop: bool
    """Whether jobs may have a soft step."""


class BatchBase(Driver):
    """What an open backend for a batch system knows of its jobs.

    Args:
        control: records what happens to the jobs.
        settings: the arguments of the backend.
        run_dir: the run directory; open `Roots`, its path, or `None` for a temporary one.
    """

    def __init__(self, control: Control, settings: BatchSettings, run_dir: Roots | str | None) -> None:
        super().__init__(control)
        self._settings = settings
        self._system = settings.system
        self._given_roots = run_dir if isinstance(run_dir, Roots) else None
        self._own_roots: Roots | None = None
        self.run_dir: str | None = None if run_dir is None else os.fspath(run_dir)
        self._visibility_timeout = settings.visibility_timeout
        self._soft_steps = settings.soft_steps
        self._kill_timeout = settings.kill_timeout
        self.kill_deadline = self._time_to_end(settings.soft_steps.seconds if settings.has_soft_stop else 0)
        self.system_limits = DEFAULT_LIMITS
        """The system's version and limits; known once the backend is open."""
        self._environment: Mapping[str, str] = {}  # what jobs inherit
        self._pace = Pace(settings.poll_interval)
        self._array_index = ArrayIndex()
        self._limiting = False  # whether a task looks how large the logs are
        # By token. An element is here from its submission until its completion.
        self._elements: dict[str, Element] = {}
        # Ids of jobs of a previous incarnation: those that may be adopted, and those of which there is no sign.
        self._adoptable: dict[str, str] = {}
        self._absent: dict[str, str] = {}
        # Jobs that completed although they may be alive, until a complete listing tells.
        self._unresolved: set[str] = set()
        # Jobs whose claim and record must be removed before they can run again.
        self._finished: set[str] = set()
        # Strays are alive in the queue, and nobody waits for them: when each was last cancelled, and where it is.
        self._strays: dict[str, float] = {}
        self._stray_observations: dict[str, Observation] = {}
        self._shared = False  # whether a record has been read, so that some node sees the run directory
        # Weak, so that jobs which the caller does not submit again are forgotten.
        self._launch_progress: weakref.WeakKeyDictionary[Any, LaunchProgress] = weakref.WeakKeyDictionary()
        self._due = -math.inf  # when the queue is asked next
        self._queries = 0  # queries of the queue so far
        self._last_answer = 0  # the number of the last query that had a complete answer
        self._accounting_asked_at = -math.inf
        self._roots: Roots
        self._store: Store
        self._finisher: Finisher
        self._submit_lock: trio.Lock
        self._file_limiter: trio.CapacityLimiter
        self._hook_limiter: trio.CapacityLimiter
        self._poll_requested: trio.Event
        self._urgent: trio.Event
        self._answer_arrived: trio.Event

    def _find_files(self, job: LiveJob) -> RootedJobPaths:
        """Set `job.paths`, and return the same paths below the roots. Blocks.

        Raises:
            OSError: if a directory of the job cannot be opened.
        """
        job.paths = job_paths(job.spec, self._roots.run_dir)
        return RootedJobPaths.resolve(job.paths, self._roots)

    async def _probe(self) -> None:
        answer = await self._system.probe()
        if isinstance(answer, Unanswered):
            logger.warning("backend %r: %s does not answer: %s", self.control.name, self._system.name, answer.why)
            self._pace.failed()
        else:
            self.system_limits = answer
            logger.info(
                "backend %r: %s %s, arrays of up to %d jobs, accounting is %s",
                self.control.name,
                self._system.name,
                answer.version,
                answer.max_array,
                "available" if answer.accounting else "not available",
            )

    def _time_to_end(self, soft: float | None) -> float | None:
        """Return the seconds after which a job with a soft step of `soft` seconds must be gone; `None` for no limit."""
        return None if soft is None or self._kill_timeout is None else soft + self._kill_timeout

    def _extend_kill_deadline(self, soft: SoftStep | None) -> None:
        """Make `kill_deadline`, which is one for all jobs, late enough for the stop of a job with this soft step."""
        if soft is not None:
            self.kill_deadline = later(self.kill_deadline, self._time_to_end(soft.seconds))

    async def _next_answer(self) -> None:
        """Wait for a complete listing that is asked for from now on."""
        self._poll_requested.set()
        # The answer to a query that is under way does not count: it may describe the queue before what was done last.
        asked = self._queries
        while self._last_answer <= asked:
            await self._answer_arrived.wait()

    def _label(self, element: Element, row: Row | None) -> str:
        note = f" on {row.note}" if row is not None and row.note else ""
        return f"{self._system.name} job {element.array}_{element.index}{note}"

    def _unattended(self) -> set[str]:
        """Return the jobs that may be alive although nothing waits for their end."""
        return {*self._adoptable, *self._stray_observations, *self._unresolved}

    def _make_stray(self, element: Element) -> None:
        """Stop waiting for a job that may be alive; it is cancelled whenever a listing has it alive."""
        self._unresolved.add(element.token)
        self._forget(element)

    def _forget(self, element: Element) -> None:
        if self._elements.get(element.token) is element:
            del self._elements[element.token]
        self._finished.add(element.token)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await in_thread(function, *args, limiter=self._file_limiter)
