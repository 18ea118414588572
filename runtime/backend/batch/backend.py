"""`BatchBackend`: jobs are elements of arrays in the queue of a batch system.

The path of a job: its files are prepared in a thread; jobs with equal requests are submitted together, as arrays; one
task queries the queue for all of them at once, tick by tick, and `next_transition` decides what each answer means for
each job; a job that has ended is judged as a local one would be.

What the backend does not assume of a queue
-------------------------------------------
*That a failed submission submitted nothing.* The array may have been accepted, or be accepted later. So its name is
unique. While it is in doubt, the queue is asked for that name, by the same query as for all others; only if two answers
in a row do not have it is it submitted again, once. Should the first one be accepted after all, its elements find
their jobs claimed and do nothing (see `wrapper`).

*That ids are unique.* Rows count by name (see `array_index`), and a cancel goes only to elements of a recent listing.

*That a cancel succeeds.* What the next listings still have alive is cancelled again, until it is gone or `kill_timeout`
is over. Even then it is cancelled whenever a listing has it alive: it is a *stray*.

*That what is cancelled does not begin.* A cancel can meet a node while that starts the element. So the backend claims
the job before the cancel: an element that begins all the same does nothing (see `cancelling`).

*That it answers.* Without an answer nothing is concluded, and nothing is submitted: see `pace`.

A previous incarnation
----------------------
A backend that is opened with the run token and the run directory of an earlier one, which was killed perhaps, finds the
arrays of that one by their names and files.

- A job that is submitted again with the same attempt is *adopted*: it is followed as if this backend had submitted it,
  and if it has ended meanwhile, its record says how. If it was being stopped, and so never begins, its element is ended
  first, and the job is submitted again.
- A job that is submitted again with another attempt: the earlier attempt is ended first.
- A job that is not submitted again is cancelled when the backend closes.
- A job of which there is no sign may have been submitted just before the kill, and its array may still be accepted. So
  the queue is asked once more before the job is submitted, and a claim that appears meanwhile is kept.
"""

from __future__ import annotations

import os
from typing import Final, Unpack

from runtime.backend.batch.driver import BatchDriver, BatchSettings
from runtime.backend.batch.queue import DEFAULT_LIMITS
from runtime.backend.batch.system import Limits, System
from runtime.backend.contract.backend import BackendOptions, RuntimeBackend, check_limit
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.run_directory import RunDirectory
from runtime.job import JobPaths, JobSpec, SoftStop
from runtime.process import SoftSteps

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


class BatchOptions(BackendOptions, total=False):
    """The keyword arguments of `BatchBackend`, for backends that pass them on."""

    poll_interval: float | None
    visibility_timeout: float | None
    kill_timeout: float | None
    max_output_dirs: int | None
    soft_stop: SoftStop | None
    soft_timeout: float | None


class BatchBackend(RuntimeBackend):
    """Runs jobs as elements of a batch system's arrays.

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
    jobs_outlive_runtime = True
    keeps_attempts = True
    watches_logs = True
    max_batch: int | None = None  # no limit: the more jobs are offered at once, the fewer arrays they need

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
        **options: Unpack[BackendOptions],
    ) -> None:
        super().__init__(**options)
        who = type(self).__name__
        poll = check_limit(f"{who}: poll_interval", poll_interval, POLL_INTERVAL, whole=False)
        if poll is None:
            raise ValueError(f"{who}: poll_interval is {poll_interval!r}; expected a positive number of seconds")
        visibility = check_limit(f"{who}: visibility_timeout", visibility_timeout, VISIBILITY_TIMEOUT, whole=False)
        keep = check_limit(f"{who}: max_output_dirs", max_output_dirs, MAX_OUTPUT_DIRS)
        self.max_output_dirs: int | None = None if keep is None else int(keep)
        soft_seconds = check_limit(f"{who}: soft_timeout", soft_timeout, SOFT_TIMEOUT, whole=False)
        soft_steps = SoftSteps.checked(who, soft_stop, soft_seconds)
        kill = check_limit(f"{who}: kill_timeout", kill_timeout, KILL_TIMEOUT, whole=False)
        self._settings = BatchSettings(poll, visibility or 0.0, kill, self.max_output_dirs, soft_steps)
        self._system = system
        self._directory = RunDirectory(run_dir)
        self._driver: BatchDriver | None = None

    def make_driver(self, control: Control) -> Driver:
        """Return a driver for one block."""
        self._driver = BatchDriver(control, self._system, self._settings, self._directory)
        return self._driver

    def paths_of(self, job: JobSpec) -> JobPaths | None:
        """See `RuntimeBackend`. `None` before a temporary run directory is made."""
        return self._directory.paths_of(job)

    @property
    def run_dir(self) -> str | None:
        """The path of the run directory; for a temporary one, `None` until the backend is open."""
        return self._directory.path

    @property
    def limits(self) -> Limits:
        """The system's version and limits; known once the backend is open."""
        return DEFAULT_LIMITS if self._driver is None else self._driver.queue.limits
