"""`BatchBase`: the arguments and the state of a backend for a batch system.

Five classes build on it, each on the one before: `ending` (from a job's end to its completion), `polling` (what has
become of each job), `cancelling`, `adopting`, `submitting`. `BatchBackend` completes them.
"""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

import trio

from runtime.backend.backend import RuntimeBackend, check_limit, later
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
from runtime.backend.finishing import Finisher
from runtime.backend.job_paths import RootedJobPaths, job_paths
from runtime.backend.live import LiveJob
from runtime.job import JobPaths, JobSpec, SoftStop
from runtime.process import SoftStep, SoftSteps, in_thread, inherited_environment
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


class BatchBase(RuntimeBackend):
    """The arguments of a backend for a batch system, and what it knows of its jobs.

    Args:
        system: the batch system.
        run_dir: the run directory, which the nodes must have at the same path. It has the directories of jobs that name
            none, and the files that jobs and backend exchange. `None` for a private temporary directory, which is not
            deleted.
        poll_interval: seconds between two queries of the queue while jobs change; without changes they become five
            times as many. `None` for 2.
        visibility_timeout: how late a file may appear on a network file system, in seconds; a job that is not in the
            queue and has no record for so long is lost. `None` for 60.
        kill_timeout: seconds from the request to stop a job until it must have left the queue; if it has not, it
            completes as lost. `None` for 180.
        max_output_dirs: how many old output directories of a job with `renew_odir` are kept; `None` for 5.
        soft_stop: what comes before the system's own stop sequence when a job is stopped; as for `LocalBackend`, but a
            signal goes to all processes of the job.
        soft_timeout: seconds between that and the cancel, unless the job ends sooner; `None` for 10.
        options: as for `RuntimeBackend`.

    Raises:
        ValueError: if an argument has no meaning, such as a negative timeout.
    """

    name = "batch"
    shares_roots = True
    """As for `LocalBackend`."""
    max_batch = None  # no limit: the more jobs are offered at once, the fewer arrays they need

    def __init__(
        self,
        system: System,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        poll_interval: float | None = None,
        visibility_timeout: float | None = None,
        kill_timeout: float | None = None,
        max_output_dirs: int | None = None,
        soft_stop: SoftStop | None = None,
        soft_timeout: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        who = type(self).__name__
        self._system = system
        self.run_dir: str | None = None if run_dir is None else os.fspath(run_dir)
        """The run directory; `None` for a temporary one until the backend is open."""
        self._given_roots = run_dir if isinstance(run_dir, Roots) else None
        self._own_roots: Roots | None = None
        poll = check_limit(f"{who}: poll_interval", poll_interval, POLL_INTERVAL, whole=False)
        if poll is None:
            msg = f"{who}: poll_interval is {poll_interval!r}; expected a positive number of seconds"
            raise ValueError(msg)
        self._visibility_timeout = (
            check_limit(f"{who}: visibility_timeout", visibility_timeout, VISIBILITY_TIMEOUT, whole=False) or 0.0
        )
        keep = check_limit(f"{who}: max_output_dirs", max_output_dirs, MAX_OUTPUT_DIRS)
        self.max_output_dirs = None if keep is None else int(keep)
        soft_seconds = check_limit(f"{who}: soft_timeout", soft_timeout, SOFT_TIMEOUT, whole=False)
        try:
            self._soft_steps = SoftSteps.checked(soft_stop, soft_seconds)
        except ValueError as exc:
            msg = f"{who}: {exc}"
            raise ValueError(msg) from None
        self._kill_timeout = check_limit(f"{who}: kill_timeout", kill_timeout, KILL_TIMEOUT, whole=False)
        self.kill_deadline = self._time_to_end(0 if soft_stop is None else soft_seconds)
        self.limits = DEFAULT_LIMITS
        """The system's version and limits; known once the backend is open."""
        self._pace = Pace(poll)
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

    def paths_of(self, job: JobSpec) -> JobPaths | None:
        """See `RuntimeBackend`. `None` before a temporary run directory is made."""
        return None if self.run_dir is None else job_paths(job, os.path.abspath(self.run_dir))

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
            logger.warning("backend %r: %s does not answer: %s", self.name, self._system.name, answer.why)
            self._pace.failed()
        else:
            self.limits = answer
            logger.info(
                "backend %r: %s %s, arrays of up to %d jobs, accounting is %s",
                self.name,
                self._system.name,
                answer.version,
                answer.max_array,
                "available" if answer.accounting else "not available",
            )

    def _environment(self) -> dict[str, str]:
        """Return the environment that jobs inherit."""
        return inherited_environment()

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
