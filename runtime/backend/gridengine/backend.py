"""`GridEngineBackend`: jobs are elements of job arrays of a Grid Engine cluster."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Unpack

from runtime.backend.batch.backend import BatchBackend, BatchOptions
from runtime.backend.batch.rules import Rule, check_names
from runtime.backend.contract.backend import check_limit
from runtime.backend.gridengine.requests import OPTIONS, Options, Requests, check_stop
from runtime.backend.gridengine.system import GridEngineSystem

COMMAND_TIMEOUT: Final = 30.0
"""Seconds after which a command of Grid Engine's is killed. Its commands wait for minutes for a master that does not
answer. Arbitrary, as for Slurm: with a tenth, slow answers are taken for lost; with ten times as many, one command that
hangs stops all polling for five minutes."""


class GridEngineBackend(BatchBackend):
    """Runs jobs on a Grid Engine cluster, as native job arrays.

    Args:
        run_dir: the run directory, which all nodes must have at the same path; jobs that name no directory get theirs
            in it. `None` for a private temporary directory, which is not deleted.
        queue: for all jobs, as for ``qsub -q``; `None` for any queue.
        project: for all jobs; `None` for the user's default.
        parallel_environment: the parallel environment in which a job with more than one of the resource ``cpus`` gets
            as many slots; `None` for one slot for each job, while the scheduler alone counts ``cpus``.
        time: Grid Engine's limit of the run time (``h_rt``) in its notation, such as ``"2:00:00"``; ``"none"`` for the
            queue's; `None` for five minutes more than the job's own timeout, if it has one.
        rerun: whether Grid Engine may start a job again, as after the failure of its node; the job then goes back to
            QUEUED.
        extra: further words for qsub, such as ``["-l", "arch=lx-amd64"]``.
        rules: options for some jobs: mappings with keys that select jobs (``job``, ``target``, ``job_type``, ``tag``)
            and options (``queue``, ``project``, ``parallel_environment``, ``time``, ``rerun``, ``extra``); a later rule
            overrides an earlier one.
        complexes: from a resource to the name of the complex in Grid Engine, as in ``{"vcs": "vcs_lic"}``. These
            resources are requested with ``-l``; the scheduler limits all others. ``memory_mb`` is divided by the slots
            of the job, as Grid Engine counts a complex for each slot.
        command_timeout: seconds after which a command of Grid Engine's is killed; `None` for 30.
        options: as for `BatchBackend`; `soft_stop` must name a file.

    Raises:
        ValueError: if an argument has no meaning, such as a negative timeout or an unknown key of a rule.
    """

    name = "gridengine"

    def __init__(
        self,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        queue: str | None = None,
        project: str | None = None,
        parallel_environment: str | None = None,
        time: str | None = None,
        rerun: bool = False,
        extra: Sequence[str] | None = None,
        rules: Sequence[Mapping[str, object]] | None = None,
        complexes: Mapping[str, str] | None = None,
        command_timeout: float | None = None,
        **options: Unpack[BatchOptions],
    ) -> None:
        who = "GridEngineBackend"
        timeout = check_limit(f"{who}: command_timeout", command_timeout, COMMAND_TIMEOUT, whole=False)
        given = {"queue": queue, "project": project, "parallel_environment": parallel_environment, "time": time}
        self.requests: Final = Requests(
            Options.checked({**given, "rerun": rerun, "extra": extra}, f"{who}: "),
            Rule.all_checked(rules, who, OPTIONS, Options.checked),
            check_names(complexes, f"{who}: complexes", "complexes"),
        )
        """What jobs request."""
        super().__init__(GridEngineSystem(self.requests, timeout), run_dir, **options)
        check_stop(options.get("soft_stop"), f"{who}: soft_stop")
        self.resources: Collection[str] = self.requests.resources
