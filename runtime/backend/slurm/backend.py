"""`SlurmBackend`: jobs are elements of job arrays of a Slurm cluster."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Unpack

from runtime.backend.batch.backend import BatchBackend, BatchOptions
from runtime.backend.batch.rules import Rule, check_names
from runtime.backend.contract.backend import check_limit
from runtime.backend.slurm.requests import OPTIONS, VARIABLES, Options, Requests
from runtime.backend.slurm.system import SlurmSystem

COMMAND_TIMEOUT: Final = 30.0
"""Seconds after which a command of Slurm's is killed. Its own `MessageTimeout` is 10 s by default. Arbitrary: with a
tenth, slow answers are taken for lost; with ten times as many, one command that hangs stops all polling for five
minutes."""


class SlurmBackend(BatchBackend):
    """Runs jobs on a Slurm cluster, as native job arrays.

    Args:
        run_dir: the run directory, which all nodes must have at the same path; jobs that name no directory get theirs
            in it. `None` for a private temporary directory, which is not deleted.
        partition: for all jobs; `None` for ``SBATCH_PARTITION``, or the cluster's default.
        account: for all jobs; `None` for ``SBATCH_ACCOUNT``, or the user's default.
        qos: for all jobs; `None` for ``SBATCH_QOS``, or the account's default.
        time: Slurm's time limit in Slurm's notation, such as ``"2:00:00"``; ``"none"`` for the partition's; `None` for
            ``SBATCH_TIMELIMIT``, or five minutes more than the job's own timeout, if it has one.
        requeue: whether Slurm may start a job again, as after the failure of its node; the job then goes back to
            QUEUED.
        extra: further options of sbatch, such as ``["--constraint=avx2"]``.
        rules: options for some jobs: mappings with keys that select jobs (``job``, ``target``, ``job_type``, ``tag``)
            and options (``partition``, ``account``, ``qos``, ``time``, ``requeue``, ``extra``); a later rule overrides
            an earlier one.
        licences: from a resource to the name of the licence in Slurm. The resources ``cpus``, ``memory_mb`` and
            ``gpus``, and those in `licences`, are requested from Slurm; the scheduler limits all others. The
            `memory` of a job replaces its ``memory_mb``.
        command_timeout: seconds after which a command of Slurm's is killed; `None` for 30.
        options: as for `BatchBackend`.

    Raises:
        ValueError: if an argument has no meaning, such as a negative timeout or an unknown key of a rule.
    """

    name = "slurm"
    limits_memory = True  # as far as the cluster's configuration does
    environment_variables: Mapping[str, str] = VARIABLES
    """Environment variables that are the defaults of options; read when the backend is opened."""

    def __init__(
        self,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        time: str | None = None,
        requeue: bool = False,
        extra: Sequence[str] | None = None,
        rules: Sequence[Mapping[str, object]] | None = None,
        licences: Mapping[str, str] | None = None,
        command_timeout: float | None = None,
        **options: Unpack[BatchOptions],
    ) -> None:
        timeout = check_limit("SlurmBackend: command_timeout", command_timeout, COMMAND_TIMEOUT, whole=False)
        given = {"partition": partition, "account": account, "qos": qos, "time": time}
        given_options = Options.checked({**given, "requeue": requeue, "extra": extra}, "SlurmBackend: ")
        self.requests: Final = Requests(
            given_options,
            Rule.all_checked(rules, "SlurmBackend", OPTIONS, Options.checked),
            check_names(licences, "SlurmBackend: licences", "licences"),
        )
        """What jobs request, without the defaults in the environment."""
        super().__init__(SlurmSystem(self.requests, timeout), run_dir, **options)
        self.resources: Collection[str] = self.requests.resources
