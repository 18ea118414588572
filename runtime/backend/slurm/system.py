"""`SlurmSystem`: Slurm as a `System` of the batch core, by its commands."""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final

import attrs

from runtime.backend.batch.by_commands import check_sigchld, run_each, words_of
from runtime.backend.batch.rules import override
from runtime.backend.batch.system import Array, Limits, QueueListing, SubmitAnswer, Targets, Unanswered
from runtime.backend.batch.wrapper import without_shell_variables
from runtime.backend.slurm.command_text import (
    PROLOGUE,
    clean_environment,
    exclude_arguments,
    is_not_configured,
    one_line,
    read_config,
    read_sacct,
    read_sbatch,
    read_scancel,
    read_squeue,
    read_update,
    sacct_arguments,
    sbatch_arguments,
    scancel_arguments,
    squeue_arguments,
)
from runtime.backend.slurm.requests import VARIABLES, Options, Requests
from runtime.errors import BackendBrokenError
from runtime.job import JobSpec
from runtime.process import outliving_environment
from runtime.process.commands import Commands

PROGRAMS: Final = ("sbatch", "squeue", "scancel", "scontrol")
"""The commands that are required; sacct is used only where there is accounting."""


class SlurmSystem:
    """Slurm, by its commands on the ``PATH``.

    Args:
        requests: the options of jobs.
        timeout: seconds after which a command is killed; `None` for no limit.
    """

    name = "Slurm"
    prologue = PROLOGUE
    passes_environment = True

    def __init__(self, requests: Requests, timeout: float | None) -> None:
        self._given = requests
        self._timeout = timeout
        self._user = os.getuid()
        self._commands: Commands
        self._requests: Requests

    def start(self) -> Mapping[str, str]:
        """Read the environment: the variables that are defaults of options, and what jobs inherit.

        Raises:
            BackendBrokenError: if SIGCHLD is ignored.
        """
        check_sigchld(self.name)
        found = {option: os.environ.get(variable) or None for variable, option in VARIABLES.items()}
        defaults = Options.checked(found, "SlurmBackend: from the environment: ")
        self._requests = attrs.evolve(self._given, options=override(defaults, self._given.options))
        environment = clean_environment(outliving_environment())
        # The commands get it, too: sbatch passes its own environment on to the jobs.
        self._commands = Commands(without_shell_variables(environment), self._timeout)
        return environment

    def element_id(self, array: str, index: int) -> str:
        """Return the id as squeue prints it."""
        return f"{array}_{index}"

    def request(self, spec: JobSpec) -> Hashable:
        """Return a job's options of sbatch."""
        return self._requests.of(spec)

    async def probe(self) -> Limits | Unanswered:
        """Return the limits in the configuration of the cluster.

        Raises:
            BackendBrokenError: if this machine has no Slurm, or no configuration of it.
        """
        done = await self._commands.run(["scontrol", "show", "config"])
        if done.missing:
            msg = f"there is no Slurm here: {one_line(done.errors)}; expected {', '.join(PROGRAMS)} on the PATH"
            raise BackendBrokenError(msg)
        if done.code != 0 and is_not_configured(done.errors):
            raise BackendBrokenError(
                f"Slurm is not configured here: {one_line(done.errors)}; "
                "expected a configuration in /etc/slurm/slurm.conf, or the path of one in SLURM_CONF"
            )
        if done.code != 0:
            return Unanswered(one_line(done.errors))
        try:
            return read_config(done.output)
        except ValueError as exc:
            return Unanswered(str(exc))

    async def submit(self, array: Array) -> SubmitAnswer:
        """Submit an array with sbatch."""
        request = array.request
        assert isinstance(request, tuple)
        done = await self._commands.run(sbatch_arguments(array, request))
        if done.missing:  # it was not started, so nothing was submitted; one that was killed leaves a doubt
            return Unanswered(one_line(done.errors))
        return read_sbatch(done.code, done.output, done.errors)

    async def query(self, names: Collection[str] | None) -> QueueListing | Unanswered:
        """List arrays with one squeue."""
        done = await self._commands.run(squeue_arguments(self._user, names))
        return read_squeue(done.output) if done.code == 0 else Unanswered(one_line(done.errors) or "squeue failed")

    async def cancel(self, targets: Targets, signal: int | None) -> Unanswered | None:
        """Cancel with scancel, in few commands."""
        every = scancel_arguments(targets, signal)
        return await run_each(self._commands, every, lambda done: read_scancel(done.code, done.errors))

    async def exclude(self, arrays: Mapping[str, Hashable], nodes: Sequence[str]) -> Unanswered | None:
        """Exclude nodes for elements that wait, with scontrol, in few commands."""
        every = exclude_arguments(words_of(arrays), nodes)
        return await run_each(self._commands, every, lambda done: read_update(done.code, done.errors))

    async def account(self, arrays: Collection[str]) -> QueueListing | Unanswered:
        """List arrays with one sacct."""
        done = await self._commands.run(sacct_arguments(arrays))
        return read_sacct(done.output) if done.code == 0 else Unanswered(one_line(done.errors) or "sacct failed")
