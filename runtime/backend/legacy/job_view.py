"""How is a `JobSpec` shown to a launcher that was written for DVSim? By shape: an object with the same attributes.

Other launchers get it as it is; in a run that has a directory, with the places of its files filled in.

DVSim's launchers read a job's `workspace_cfg`, `block.name`, `tool.name`, `timeout_mins`, its `odir` and `log_path` as
`pathlib.Path`, its command as one string, and call its hooks. Nothing of DVSim is imported for that.
"""

from __future__ import annotations

import logging
import os
import shlex
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import attrs

from runtime.backend.job_paths import JobPaths
from runtime.job import JobSpec, JobStatus, safe_id
from runtime.job.command import command_words

logger: Final = logging.getLogger("runtime.backend.legacy")

UNKNOWN: Final = "unknown"
"""The tool of a job about which nobody says more."""

OF_SIMULATORS: Final = frozenset({"CompileSim", "RunTest", "CovUnr", "CovMerge", "CovReport", "CovAnalyze"})
"""Types of job whose end makes DVSim's launchers ask a plug-in of the job's tool, and raise if the tool has none."""


class DVSimView:
    """From a `JobSpec` to what a launcher of DVSim expects. Any other job is passed on untouched.

    Args:
        run_dir: where jobs without an `odir` get one, named after their id; `None` for a temporary directory that is
            made when the first job needs it, logged, and kept.
        project: the name of the project, which is also the name of the block.
        tool: the name of the tool, which some launchers take as a hint for licences. Without it, no job has a type that
            asks for a simulator's plug-in.
    """

    def __init__(self, run_dir: str | Path | None = None, *, project: str = "runtime", tool: str = UNKNOWN) -> None:
        self._run_dir = None if run_dir is None else Path(run_dir)
        self._lock = threading.Lock()
        self.block = SimpleNamespace(
            name=project, variant=None, commit="", commit_short="", dirty=False, branch="", url=None, revision_info=None
        )
        self.tool = SimpleNamespace(name=tool, version="")

    def __call__(self, job: Any) -> Any:
        """Return what the launcher of `job` is built with."""
        return DVSimJob(job, self) if isinstance(job, JobSpec) else job

    def __reduce__(self) -> tuple[Any, ...]:
        # In another process it is the same view, of the same directory.
        return _view_again, (str(self.run_dir), self.block.name, self.tool.name)

    @property
    def run_dir(self) -> Path:
        """Where the output directories are; makes it if need be."""
        with self._lock:
            if self._run_dir is None:
                self._run_dir = Path(tempfile.mkdtemp(prefix="runtime-"))
                logger.info("no output directory was given; the output of such jobs is in %s", self._run_dir)
            return self._run_dir

    @cached_property
    def workspace_cfg(self) -> SimpleNamespace:
        """What DVSim calls the workspace."""
        return SimpleNamespace(
            timestamp=time.strftime("%Y%m%d_%H%M%S"),
            project=self.block.name,
            project_root=Path.cwd(),
            scratch_root=self.run_dir,
            scratch_path=self.run_dir,
        )


def _view_again(run_dir: str, project: str, tool: str) -> DVSimView:
    return DVSimView(run_dir, project=project, tool=tool)


class DVSimJob:
    """A `JobSpec` with the attributes of DVSim's; what both have alike is passed through."""

    # A view is made for every job, and most launchers read a few attributes only: so they are made when they are read.

    def __init__(self, spec: JobSpec, view: DVSimView) -> None:
        self._spec = spec
        self._view = view
        self.block = view.block
        self.tool = view.tool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spec, name)

    def __repr__(self) -> str:
        return f"<{self._spec.id!r} as DVSim's>"

    @property
    def workspace_cfg(self) -> SimpleNamespace:
        """What all jobs share."""
        return self._view.workspace_cfg

    @property
    def job_type(self) -> str:
        """The type of job; none where it would ask for the plug-in of a simulator and there is no simulator."""
        job_type = self._spec.job_type
        return "" if self.tool.name == UNKNOWN and job_type in OF_SIMULATORS else job_type

    @property
    def cmd(self) -> str:
        """One string, in which a shell would find the same words; such launchers know of no `cwd`, so it goes there.

        A shell that the job names as a list of words goes there, too.
        """
        cmd, cwd = self._spec.cmd, self._spec.cwd
        text = shlex.join(command_words(self._spec))
        if isinstance(cmd, str) and isinstance(self._spec.shell, str):
            text = cmd
        return text if cwd is None else f"cd {shlex.quote(os.path.abspath(cwd))} || exit; {text}"

    @cached_property
    def odir(self) -> Path:
        """The output directory; need not exist."""
        odir = self._spec.odir
        return self._view.run_dir / safe_id(self._spec.id) if odir is None else Path(odir)

    @cached_property
    def log_path(self) -> Path:
        """Where the output goes."""
        log_path = self._spec.log_path
        return self.odir / "job.log" if log_path is None else Path(log_path)

    @property
    def timeout_secs(self) -> float | None:
        """Seconds."""
        return self._spec.timeout

    @property
    def timeout_mins(self) -> float | None:
        """Minutes."""
        timeout = self._spec.timeout
        return None if timeout is None else timeout / 60

    @property
    def exports(self) -> dict[str, str]:
        """Environment variables to add."""
        return dict(self._spec.exports)

    @property
    def dependencies(self) -> list[str]:
        """Ids of jobs."""
        return list(self._spec.dependencies)

    @property
    def pre_launch(self) -> Callable[[], object]:
        """The job's hook, or one that does nothing."""
        return self._spec.pre_launch or _do_nothing

    def post_finish(self, status: Any) -> None:
        """Call the job's own hook, with a status of ours."""
        if self._spec.post_finish is not None:
            self._spec.post_finish(JobStatus[status.name])


def _do_nothing() -> None:
    pass


view_as_dvsim: Final = DVSimView()
"""The view for launchers of DVSim where nobody says more."""


class PlacedView:
    """Gives a `JobSpec` a directory, a log and a place to run in where it names none. Any other job is passed on as it
    is.

    Args:
        run_dir: where jobs without an `odir` get one, named after their id.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self._run_dir = os.path.abspath(run_dir)

    def __call__(self, job: Any) -> Any:
        """Return what the launcher of `job` is built with."""
        if not isinstance(job, JobSpec):
            return job
        places = JobPaths.of(job, self._run_dir)
        return attrs.evolve(job, odir=places.odir, log_path=places.log, cwd=places.cwd)


def view_for(launcher_cls: type, run_dir: str | Path | None = None) -> Callable[[Any], Any] | None:
    """Return the view that a class of launchers seems to want; `None` if it takes jobs as they are.

    All launchers of DVSim have to define `prepare_workspace`, which reads the job's `workspace_cfg`.

    Args:
        launcher_cls: the class.
        run_dir: the directory of the run, if it has one.
    """
    if hasattr(launcher_cls, "prepare_workspace"):
        return view_as_dvsim if run_dir is None else DVSimView(run_dir)
    return None if run_dir is None else PlacedView(run_dir)
