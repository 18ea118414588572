"""`LsfSystem`: LSF as a `System` of the batch core, by its commands."""

from __future__ import annotations

import logging
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final

from runtime.backend.batch.by_commands import check_sigchld, run_each, words_of
from runtime.backend.batch.system import Array, Limits, QueueListing, SubmitAnswer, Targets, Unanswered
from runtime.backend.batch.wrapper import without_shell_variables
from runtime.backend.lsf import command_text
from runtime.backend.lsf.command_text import (
    PROLOGUE,
    bjobs_arguments,
    bkill_arguments,
    bsub_arguments,
    clean_environment,
    exclude_arguments,
    is_not_configured,
    one_line,
    read_bjobs,
    read_bkill,
    read_bmod,
    read_bsub,
    read_config,
)
from runtime.backend.lsf.requests import Requests
from runtime.errors import BackendBrokenError
from runtime.job import JobSpec
from runtime.process import outliving_environment
from runtime.process.commands import Commands

logger: Final = logging.getLogger("runtime.backend.lsf")

PROGRAMS: Final = ("bsub", "bjobs", "bkill", "bmod", "bparams")
"""The commands that are required; lsid only tells the version."""
UNPROVEN: Final = (
    "the backend for LSF has not been run on a real LSF yet, only on a fake made from its documentation; "
    "`job-runtime prove lsf` shows whether it works here"
)
"""The warning when it is opened."""


class LsfSystem:
    """LSF, by its commands on the ``PATH``.

    Args:
        requests: the options of jobs.
        timeout: seconds after which a command is killed; `None` for no limit.
    """

    name = "LSF"
    prologue = PROLOGUE
    passes_environment = False  # LSF changes some variables, and its job file is a script, with names that a shell has

    def __init__(self, requests: Requests, timeout: float | None) -> None:
        self._requests = requests
        self._timeout = timeout
        self._commands: Commands

    def start(self) -> Mapping[str, str]:
        """Read the environment that jobs inherit.

        Raises:
            BackendBrokenError: if SIGCHLD is ignored.
        """
        check_sigchld(self.name)
        logger.warning("%s", UNPROVEN)
        environment = clean_environment(outliving_environment())
        # Their messages are translated where there are translations.
        self._commands = Commands({**without_shell_variables(environment), "LC_ALL": "C"}, self._timeout)
        return environment

    def element_id(self, array: str, index: int) -> str:
        """Return the id as people write it; indices begin at 1."""
        return command_text.element_id(array, index)

    def request(self, spec: JobSpec) -> Hashable:
        """Return a job's words for bsub."""
        return self._requests.of(spec)

    async def probe(self) -> Limits | Unanswered:
        """Return the limits in the parameters of the cluster.

        Raises:
            BackendBrokenError: if this machine has no LSF, or belongs to no cluster.
        """
        done = await self._commands.run(["bparams", "-a"])
        if done.missing:
            msg = f"there is no LSF here: {one_line(done.errors)}; expected {', '.join(PROGRAMS)} on the PATH"
            raise BackendBrokenError(msg)
        if done.code != 0 and is_not_configured(done.errors):
            raise BackendBrokenError(
                f"LSF is not configured here: {one_line(done.errors)}; expected LSF_ENVDIR to be the directory of "
                "lsf.conf, as after `source profile.lsf`, and this machine to be a host of the cluster"
            )
        if done.code != 0:
            return Unanswered(one_line(done.errors))
        version = await self._commands.run(["lsid"])
        try:
            return read_config(done.output, version.output)
        except ValueError as exc:
            return Unanswered(str(exc))

    async def submit(self, array: Array) -> SubmitAnswer:
        """Submit an array with bsub."""
        request = array.request
        assert isinstance(request, tuple)
        done = await self._commands.run(bsub_arguments(array, request))
        if done.missing:  # it was not started, so nothing was submitted; one that was killed leaves a doubt
            return Unanswered(one_line(done.errors))
        return read_bsub(done.code, done.output, done.errors)

    async def query(self, names: Collection[str] | None) -> QueueListing | Unanswered:
        """List arrays with one bjobs."""
        done = await self._commands.run(bjobs_arguments(names))
        return read_bjobs(done.code, done.output, done.errors)

    async def cancel(self, targets: Targets, signal: int | None) -> Unanswered | None:
        """Cancel with bkill, in few commands; or send a signal with it."""
        every = bkill_arguments(targets, signal)
        return await run_each(self._commands, every, lambda done: read_bkill(done.code, done.output, done.errors))

    async def exclude(self, arrays: Mapping[str, Hashable], nodes: Sequence[str]) -> Unanswered | None:
        """Exclude nodes for elements that wait, with a bmod for each array."""
        every = exclude_arguments(words_of(arrays), nodes)
        return await run_each(self._commands, every, lambda done: read_bmod(done.code, done.errors))

    async def account(self, arrays: Collection[str]) -> QueueListing | Unanswered:
        """Return nothing: `probe` says that there is no accounting, as bjobs remembers jobs for an hour by default."""
        return QueueListing([])
