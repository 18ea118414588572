"""`LsfBackend`: jobs are elements of job arrays of an LSF cluster."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Unpack

from runtime.backend.batch.backend import BatchBackend, BatchOptions
from runtime.backend.batch.rules import Rule, check_names
from runtime.backend.contract.backend import check_limit
from runtime.backend.lsf.requests import OPTIONS, Options, Requests
from runtime.backend.lsf.system import LsfSystem

COMMAND_TIMEOUT: Final = 120.0
"""Seconds after which a command of LSF's is killed. Its commands wait for ever for an LSF that does not answer; and on
some site a bsub of an array of 1000 elements takes 90 s. Arbitrary: with a tenth, slow answers are taken for lost; with
ten times as many, one command that hangs stops all polling for 20 minutes, and a kill has no second try."""


class LsfBackend(BatchBackend):
    """Runs jobs on an LSF cluster, as native job arrays. Not yet run on a real LSF.

    Args:
        run_dir: the run directory, which all nodes must have at the same path; jobs that name no directory get theirs
            in it. `None` for a private temporary directory, which is not deleted.
        queue: for all jobs, as for ``bsub -q``; `None` for the user's default.
        project: for all jobs, as for ``bsub -P``; `None` for the user's default.
        time: LSF's limit of the run time (``-W``) in its notation, such as ``"2:00"``; ``"none"`` for the queue's;
            `None` for five minutes more than the job's own timeout, if it has one.
        rerun: whether LSF may start a job again, as after the failure of its node; the job then goes back to QUEUED.
        extra: further words for bsub, such as ``["-R", "select[type==any]"]``.
        rules: options for some jobs: mappings with keys that select jobs (``job``, ``target``, ``job_type``, ``tag``)
            and options (``queue``, ``project``, ``time``, ``rerun``, ``extra``); a later rule overrides an earlier one.
        rusage: from a resource to its name in LSF, as in ``{"vcs": "vcs_lic"}``. The resources ``cpus`` and
            ``memory_mb``, and those in `rusage`, are requested from LSF; the scheduler limits all others.
        command_timeout: seconds after which a command of LSF's is killed; `None` for 120.
        options: as for `BatchBackend`.

    Raises:
        ValueError: if an argument has no meaning, such as a negative timeout or an unknown key of a rule.
    """

    name = "lsf"
    limits_memory = True  # as far as the cluster's configuration does

    def __init__(
        self,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        queue: str | None = None,
        project: str | None = None,
        time: str | None = None,
        rerun: bool = False,
        extra: Sequence[str] | None = None,
        rules: Sequence[Mapping[str, object]] | None = None,
        rusage: Mapping[str, str] | None = None,
        command_timeout: float | None = None,
        **options: Unpack[BatchOptions],
    ) -> None:
        who = "LsfBackend"
        timeout = check_limit(f"{who}: command_timeout", command_timeout, COMMAND_TIMEOUT, whole=False)
        given = {"queue": queue, "project": project, "time": time, "rerun": rerun, "extra": extra}
        self.requests: Final = Requests(
            Options.checked(given, f"{who}: "),
            Rule.all_checked(rules, who, OPTIONS, Options.checked),
            check_names(rusage, f"{who}: rusage", "resources of LSF"),
        )
        """What jobs request."""
        super().__init__(LsfSystem(self.requests, timeout), run_dir, **options)
        self.resources: Collection[str] = self.requests.resources
