"""`LocalBackend`: runs jobs as processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, Unpack

from runtime.backend.contract.backend import CommonOptions, RuntimeBackend, check_limit
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.open_backend import BackendState
from runtime.backend.local.driver import LocalDriver
from runtime.backend.local.options import LocalOptions, StopTimeouts
from runtime.backend.run_directory import RunDirectory
from runtime.job import CONTAINMENTS, LEFTOVERS, JobPaths, JobSpec, SoftStop
from runtime.job.sizes import parse_size
from runtime.process import SoftSteps
from runtime.process.headroom import Headroom
from runtime.process.limits import usable_cpus

TERM_TIMEOUT: Final = 2.0
"""Seconds from SIGTERM to SIGKILL. DVSim's."""

KILL_TIMEOUT: Final = 2.0
"""Seconds from SIGKILL until a job that is still there counts as lost. DVSim's."""

MAX_OUTPUT_DIRS: Final = 5
"""Old output directories of a job that are kept. DVSim's."""

SOFT_TIMEOUT: Final = 10.0
"""Seconds from the soft step of a stop, if there is one, to SIGTERM. Arbitrary: ten times longer makes a person who
pressed Ctrl-C wait, ten times shorter cuts off a simulator that saves its coverage."""

_PAUSABLE: Final = (BackendState.OPEN, BackendState.CLOSING)


class LocalBackend(RuntimeBackend):
    """Runs jobs as processes of this machine.

    Args:
        max_parallelism: how many jobs run at once; `None` for the number of CPUs that this process may use by its
            affinity, and by the quotas of its cgroup and of the parents of that; a part of a CPU counts as one.
        run_dir: the parent of the directories of jobs that name none; `None` for a private temporary directory, which
            is not deleted. Open `Roots` are shared, so that no job can replace any of their directories.
        term_timeout: seconds from SIGTERM to SIGKILL; `None` for 2.
        kill_timeout: seconds from SIGKILL until a job that is still there is abandoned as lost; `None` for 2.
        max_output_dirs: how many old output directories of a job with `renew_odir` are kept; `None` for 5.
        containment: which processes of a job end with it. ``"tree"``: all of them, whatever sessions they open, also if
            this process is killed. ``"group"``: those in its process group; a process that has left the group lives on
            when the job has ended, and gets the signals of a stop if it can be found. A job may override this.
        leftovers: what happens if a job ends by itself and leaves processes running, which are killed after 0.3 s.
            ``"warn"``: `JobUsage.left_behind` names them; ``"fail"``: a job that would pass fails; ``"ignore"``: they
            are killed at once, and not named. A job may override this.
        soft_stop: the step before SIGTERM when a job is stopped: ``None`` for none; a signal (``"SIGINT"``) to all its
            processes; or the name of a file to make, in its output directory unless absolute. A job may override this.
        soft_timeout: seconds from the soft step to SIGTERM, unless the job ends sooner; `None` for 10. A job may
            override this.
        stop_on_fail_pattern: whether a job is stopped when a fail pattern matches a line of its log, which is read
            every second. The job then fails by that pattern, whatever its exit code.
        mem_free: bytes of memory that must be available before a job starts, or text such as ``"2GiB"``; `None` for
            nothing. Below it jobs are refused, so that a scheduler offers them again; what runs goes on. So are all but
            one at a time while processes of the machine wait for memory a quarter of the time, if the kernel tells.
        disk_free: likewise, of the file system of the run directory.
        terminal: descriptors of the user's input and output, for interactive jobs.
        options: as for `RuntimeBackend`.

    A limit of 0 means no limit. Jobs inherit the environment that this process has when the backend is opened.

    The backend is a server of make's jobserver protocol, for jobs that ask for it (`JobSpec.jobserver`): they share its
    `max_parallelism` slots with what they start. A running job holds one slot. It gets tokens for further processes
    while slots are free, which ``make`` without ``-j`` and others take, and return; what it holds is free again when it
    ends, also if it was killed. A job that is to start gets the next free slot, before any token; until then it is
    queued. There are no tokens for interactive jobs and dry runs, nor without a `max_parallelism`.

    A job with a `memory` has a memory cgroup of its own, where one can be had: the kernel then kills what is above the
    ceiling, and the rest of the job is killed. Elsewhere its processes are watched, which a warning says once; see
    ``docs/job-files.md``.

    Raises:
        ValueError: for an argument that is not valid.
    """

    name = "local"
    supports_interactive = True
    watches_logs = True
    limits_memory = True
    keeps_attempts = True
    shares_roots = True
    """Whether `run_dir` may be open `Roots`, so that the directory is not opened again by its path."""
    has_jobserver = True
    """Whether `JobSpec.jobserver` means something here."""

    def __init__(
        self,
        max_parallelism: int | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        term_timeout: float | None = None,
        kill_timeout: float | None = None,
        max_output_dirs: int | None = None,
        containment: str = "tree",
        leftovers: str = "warn",
        soft_stop: SoftStop | None = None,
        soft_timeout: float | None = None,
        stop_on_fail_pattern: bool = False,
        mem_free: int | str | None = None,
        disk_free: int | str | None = None,
        terminal: tuple[int, int] = (0, 1),
        **options: Unpack[CommonOptions],
    ) -> None:
        if max_parallelism is None:
            max_parallelism = usable_cpus()
        super().__init__(max_parallelism=max_parallelism, **options)
        if containment not in CONTAINMENTS:
            raise ValueError(f"LocalBackend: containment is {containment!r}; expected 'tree' or 'group'")
        if leftovers not in LEFTOVERS:
            raise ValueError(f"LocalBackend: leftovers is {leftovers!r}; expected 'ignore', 'warn' or 'fail'")
        if not isinstance(stop_on_fail_pattern, bool):
            raise ValueError(f"LocalBackend: stop_on_fail_pattern is {stop_on_fail_pattern!r}; expected True or False")
        # Launches in threads gather into few calls if submissions come one at a time; launches by shims need no thread.
        self.max_submissions = None if containment == "tree" else 1
        timeouts = StopTimeouts(
            check_limit("LocalBackend: term_timeout", term_timeout, TERM_TIMEOUT, whole=False),
            check_limit("LocalBackend: kill_timeout", kill_timeout, KILL_TIMEOUT, whole=False),
        )
        keep = check_limit("LocalBackend: max_output_dirs", max_output_dirs, MAX_OUTPUT_DIRS)
        self.max_output_dirs: int | None = None if keep is None else int(keep)
        soft_seconds = check_limit("LocalBackend: soft_timeout", soft_timeout, SOFT_TIMEOUT, whole=False)
        soft = SoftSteps.checked("LocalBackend", soft_stop, soft_seconds)
        self.options: Final = LocalOptions(
            containment,
            leftovers,
            timeouts,
            soft,
            stop_on_fail_pattern,
            self.max_output_dirs,
            terminal,
            Headroom(_size("mem_free", mem_free), _size("disk_free", disk_free)),
        )
        """How it runs its jobs."""
        self._run_directory = RunDirectory(run_dir)
        self.lend_terminal: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
        """Returns a context manager that keeps others from the terminal while an interactive job uses it."""
        self._driver: LocalDriver | None = None
        """That of the last `open`."""

    @property
    def run_dir(self) -> str | None:
        """The path of the run directory; for a temporary one, `None` until the backend is opened."""
        return self._run_directory.path

    def paths_of(self, job: JobSpec) -> JobPaths | None:
        """See `RuntimeBackend`. `None` before a temporary run directory is made."""
        return self._run_directory.paths_of(job)

    def make_driver(self, control: Control) -> Driver:
        """Return a driver for a block that begins."""
        self._driver = LocalDriver(
            control, self.options, self._run_directory, lambda: self.max_parallelism, self._lend_terminal
        )
        return self._driver

    def _lend_terminal(self) -> AbstractAsyncContextManager[object]:
        return self.lend_terminal()  # looked up now, as it may be assigned while the backend is open

    def pause(self) -> None:
        """Send SIGSTOP to all processes of all jobs. Nothing is launched until `unpause`.

        For a program that is about to stop itself, such as after Ctrl-Z. The time until `unpause` counts towards no
        limit of a job. A job that is killed meanwhile is continued, so that it can handle its signals; the timeouts of
        its stop count. Does not block. May be called in any task while the backend is open. Idempotent.
        """
        if self._driver is not None and self.state in _PAUSABLE:
            self._driver.pause()

    def unpause(self) -> None:
        """Send SIGCONT to all processes that `pause` has stopped, and launch again. Does not block. Idempotent."""
        if self._driver is not None and self.state in _PAUSABLE:
            self._driver.unpause()


def _size(name: str, value: int | str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as exc:
        raise ValueError(f"LocalBackend: {name}: {exc}") from None
