"""Views: convert a `JobSpec` to what a launcher expects.

DVSim's launchers read a job's `workspace_cfg`, `block.name`, `tool.name`, `timeout_mins`, its `odir` and `log_path` as
`pathlib.Path`, its command as one string, and call its hooks. `DVSimView` gives them an object with these attributes;
nothing of DVSim is imported. Other launchers get the job unchanged, or, in a run that has a directory, with the paths
of its files filled in (`JobPathsView`).
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
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any, Final

import attrs

from runtime.backend.job_paths import job_paths
from runtime.backend.legacy.launcher import View
from runtime.job import JobPaths, JobSpec, JobStatus
from runtime.job.command import command_words

logger: Final = logging.getLogger("runtime.backend.legacy")

UNKNOWN: Final = "unknown"
"""The name of the tool if none is given."""

OF_SIMULATORS: Final = frozenset({"CompileSim", "RunTest", "CovUnr", "CovMerge", "CovReport", "CovAnalyze"})
"""Types of job after whose end DVSim's launchers call a plug-in of the job's tool, and raise if it has none."""


class DVSimView:
    """Converts a `JobSpec` to what a launcher of DVSim expects. Other jobs are passed on unchanged.

    Args:
        run_dir: the directory in which a job without an `odir` gets one, named after its id; `None` for a temporary
            directory, which is made when the first job needs it, logged, and kept.
        project: the name of the project, which is also the name of the block.
        tool: the name of the tool, which some launchers use to choose licences. Without it, no job has a type for which
            DVSim calls a simulator's plug-in.
    """

    def __init__(self, run_dir: str | Path | None = None, *, project: str = "runtime", tool: str = UNKNOWN) -> None:
        self._run_dir = None if run_dir is None else Path(run_dir)
        self._lock = threading.Lock()
        self.block: Final = SimpleNamespace(
            name=project, variant=None, commit="", commit_short="", dirty=False, branch="", url=None, revision_info=None
        )
        self.tool: Final = SimpleNamespace(name=tool, version="")

    def __call__(self, job: object) -> Any:
        """Return the argument for the constructor of the launcher of `job`."""
        return DVSimJob(job, self) if isinstance(job, JobSpec) else job

    def paths_of(self, job: object) -> JobPaths | None:
        """Return where the files of `job` are, once its launcher was started; `None` if it does not say."""
        # Not `run_dir`, which would make a directory: a launcher that has asked for one has made it.
        if isinstance(job, JobSpec) and self._run_dir is not None:
            return job_paths(job, os.path.abspath(self._run_dir))
        return named_paths(job)

    def __reduce__(self) -> tuple[object, ...]:
        # Pickled with the directory, which is made now if need be: an isolated launcher gets the same one.
        return _rebuild_view, (str(self.run_dir), self.block.name, self.tool.name)

    @property
    def run_dir(self) -> Path:
        """The directory of the output directories; made if need be."""
        with self._lock:  # `view_as_dvsim` is shared by all adapters, each of which has a launcher thread
            if self._run_dir is None:
                self._run_dir = Path(tempfile.mkdtemp(prefix="runtime-"))
                logger.info("no output directory was given; the output of such jobs is in %s", self._run_dir)
            return self._run_dir

    @cached_property
    def workspace_cfg(self) -> SimpleNamespace:
        """DVSim's description of the workspace."""
        return SimpleNamespace(
            timestamp=time.strftime("%Y%m%d_%H%M%S"),
            project=self.block.name,
            project_root=Path.cwd(),
            scratch_root=self.run_dir,
            scratch_path=self.run_dir,
        )


def _rebuild_view(run_dir: str, project: str, tool: str) -> DVSimView:
    return DVSimView(run_dir, project=project, tool=tool)


class DVSimJob:
    """A `JobSpec` with the attributes of DVSim's; attributes that both have are passed through."""

    # Made for every job, and most launchers read only a few attributes: so these are computed when they are read.

    def __init__(self, spec: JobSpec, view: DVSimView) -> None:
        self._spec = spec
        self._view = view
        self.block: SimpleNamespace = view.block
        self.tool: SimpleNamespace = view.tool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spec, name)

    def __repr__(self) -> str:
        return f"<{self._spec.id!r} as DVSim's>"

    @property
    def workspace_cfg(self) -> SimpleNamespace:
        """The workspace that all jobs share."""
        return self._view.workspace_cfg

    @property
    def job_type(self) -> str:
        """The type of job; empty if DVSim would call a simulator's plug-in for it and no tool is known."""
        job_type = self._spec.job_type
        return "" if self.tool.name == UNKNOWN and job_type in OF_SIMULATORS else job_type

    @property
    def cmd(self) -> str:
        """The command as one string that a shell splits into the same words.

        DVSim's launchers have no `cwd`, so the string begins with a `cd`. If the job's `shell` is a list of words, the
        string calls it.
        """
        cmd, cwd = self._spec.cmd, self._spec.cwd
        text = shlex.join(command_words(self._spec))
        if isinstance(cmd, str) and isinstance(self._spec.shell, str):
            text = cmd
        return text if cwd is None else f"cd {shlex.quote(os.path.abspath(cwd))} || exit; {text}"

    @cached_property
    def _paths(self) -> JobPaths:
        # A job with a directory of its own must not make that of the view.
        return job_paths(self._spec, "" if self._spec.odir is not None else str(self._view.run_dir))

    @cached_property
    def odir(self) -> Path:
        """The output directory; may not exist yet."""
        return Path(self._paths.odir)

    @cached_property
    def log_path(self) -> Path:
        """The log file."""
        return Path(self._paths.log)

    @property
    def timeout_secs(self) -> float | None:
        """The time limit in seconds; `None` for none."""
        return self._spec.timeout

    @property
    def timeout_mins(self) -> float | None:
        """The time limit in minutes; `None` for none."""
        timeout = self._spec.timeout
        return None if timeout is None else timeout / 60

    @property
    def exports(self) -> dict[str, str]:
        """Environment variables to add."""
        return dict(self._spec.exports)

    @property
    def dependencies(self) -> list[str]:
        """The ids of the jobs that this one needs."""
        return list(self._spec.dependencies)

    @property
    def pre_launch(self) -> Callable[[], object]:
        """The job's hook, or one that does nothing."""
        return self._spec.pre_launch or _do_nothing

    def post_finish(self, status: Any) -> None:
        """Call the job's own hook with our status of the same name."""
        if self._spec.post_finish is not None:
            self._spec.post_finish(JobStatus[status.name])


def _do_nothing() -> None:
    pass


view_as_dvsim: Final = DVSimView()
"""The default view for launchers of DVSim."""


class JobPathsView:
    """Gives a `JobSpec` an `odir`, a `log_path` and a `cwd` if it has none. Other jobs are passed on unchanged.

    Args:
        run_dir: the directory in which a job without an `odir` gets one, named after its id.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self._run_dir = os.path.abspath(run_dir)

    def __call__(self, job: object) -> Any:
        """Return the argument for the constructor of the launcher of `job`."""
        if not isinstance(job, JobSpec):
            return job
        paths = job_paths(job, self._run_dir)
        return attrs.evolve(job, odir=paths.odir, log_path=paths.log, cwd=paths.cwd)

    def paths_of(self, job: object) -> JobPaths | None:
        """Return where the files of `job` are; `None` if it does not say."""
        return job_paths(job, self._run_dir) if isinstance(job, JobSpec) else named_paths(job)


def named_paths(job: object) -> JobPaths | None:
    """Return where the files of a job are that a launcher gets unchanged; `None` if the job does not say.

    A foreign job, such as one of DVSim's, says it by an `odir` and a `log_path`.

    Raises:
        Exception: any; the attributes of a foreign job run foreign code.
    """
    odir = getattr(job, "odir", None)
    if odir is None:
        return None
    if isinstance(job, JobSpec):
        return job_paths(job, "")
    log = getattr(job, "log_path", None)
    if isinstance(odir, str | PurePath) and isinstance(log, str | PurePath):
        directory = str(odir)
        return JobPaths(directory, str(log), directory)
    return None


def view_for(launcher_cls: type, run_dir: str | Path | None = None) -> View | None:
    """Return the view for a class of launchers; `None` if it gets jobs unchanged.

    A class with `prepare_workspace` gets DVSim's form of a job: all launchers of DVSim define that method.

    Args:
        launcher_cls: the class.
        run_dir: the directory of the run, if it has one.
    """
    if hasattr(launcher_cls, "prepare_workspace"):
        return view_as_dvsim if run_dir is None else DVSimView(run_dir)
    return None if run_dir is None else JobPathsView(run_dir)
