"""`GridEngineSystem`: Grid Engine as a `System` of the batch core, by its commands."""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Final

from runtime.backend.batch.by_commands import check_sigchld, run_each, words_of
from runtime.backend.batch.system import Array, Limits, QueueListing, QueueRow, SubmitAnswer, Targets, Unanswered
from runtime.backend.gridengine import command_text
from runtime.backend.gridengine.command_text import (
    PROLOGUE,
    clean_environment,
    exclude_arguments,
    is_not_configured,
    one_line,
    qacct_arguments,
    qdel_arguments,
    qstat_arguments,
    qsub_arguments,
    read_change,
    read_config,
    read_qacct,
    read_qstat,
    read_qsub,
)
from runtime.backend.gridengine.requests import Requests
from runtime.errors import BackendBrokenError
from runtime.job import JobSpec
from runtime.process import outliving_environment
from runtime.process.commands import Commands

PROGRAMS: Final = ("qsub", "qstat", "qdel", "qalter", "qconf")
"""The commands that are required; qacct is used only where there is accounting."""


class GridEngineSystem:
    """Grid Engine, by its commands on the ``PATH``.

    Args:
        requests: the options of jobs.
        timeout: seconds after which a command is killed; `None` for no limit.
    """

    name = "Grid Engine"
    prologue = PROLOGUE
    passes_environment = False  # qsub -V would leave out LD_LIBRARY_PATH, among others, and show the rest to all users

    def __init__(self, requests: Requests, timeout: float | None) -> None:
        self._requests = requests
        self._timeout = timeout
        self._user = _user_name()
        self._commands: Commands

    def start(self) -> Mapping[str, str]:
        """Read the environment that jobs inherit.

        Raises:
            BackendBrokenError: if SIGCHLD is ignored.
        """
        check_sigchld(self.name)
        environment = clean_environment(outliving_environment())
        # Their messages are translated where there are translations.
        self._commands = Commands({**environment, "LC_ALL": "C"}, self._timeout)
        return environment

    def element_id(self, array: str, index: int) -> str:
        """Return the id as people write it; indices begin at 1."""
        return command_text.element_id(array, index)

    def request(self, spec: JobSpec) -> Hashable:
        """Return a job's words for qsub."""
        return self._requests.of(spec)

    async def probe(self) -> Limits | Unanswered:
        """Return the limits in the configuration of the cluster.

        Raises:
            BackendBrokenError: if this machine has no Grid Engine, or belongs to no cluster.
        """
        done = await self._commands.run(["qconf", "-sconf"])
        if done.missing:
            msg = f"there is no Grid Engine here: {one_line(done.errors)}; expected {', '.join(PROGRAMS)} on the PATH"
            raise BackendBrokenError(msg)
        if done.code != 0 and is_not_configured(done.errors):
            raise BackendBrokenError(
                f"Grid Engine is not configured here: {one_line(done.errors)}; expected SGE_ROOT and SGE_CELL to lead "
                "to the files of a cell, and this machine to be a submit host of it"
            )
        if done.code != 0:
            return Unanswered(one_line(done.errors))
        text = await self._commands.run(["qconf", "-help"])
        try:
            return read_config(done.output, text.output)
        except ValueError as exc:
            return Unanswered(str(exc))

    async def submit(self, array: Array) -> SubmitAnswer:
        """Submit an array with qsub."""
        request = array.request
        assert isinstance(request, tuple)
        done = await self._commands.run(qsub_arguments(array, request))
        if done.missing:  # it was not started, so nothing was submitted; one that was killed leaves a doubt
            return Unanswered(one_line(done.errors))
        return read_qsub(done.code, done.output, done.errors)

    async def query(self, names: Collection[str] | None) -> QueueListing | Unanswered:
        """List arrays with one qstat."""
        done = await self._commands.run(qstat_arguments(self._user))
        if done.code != 0:
            return Unanswered(one_line(done.errors) or "qstat failed")
        return read_qstat(done.output, names)

    async def cancel(self, targets: Targets, signal: int | None) -> Unanswered | None:
        """Cancel with qdel, in few commands."""
        assert signal is None, "jobs with such a soft step are refused"
        return await self._change(qdel_arguments(targets))

    async def exclude(self, arrays: Mapping[str, Hashable], nodes: Sequence[str]) -> Unanswered | None:
        """Exclude nodes for elements that wait, with qalter, in few commands."""
        return await self._change(exclude_arguments(words_of(arrays), nodes))

    async def _change(self, commands: Iterable[list[str]]) -> Unanswered | None:
        read = lambda done: read_change(done.code, done.output, done.errors)  # noqa: E731 - for the next line
        return await run_each(self._commands, commands, read)

    async def account(self, arrays: Collection[str]) -> QueueListing | Unanswered:
        """List arrays with qacct, which takes one at a time."""
        rows: list[QueueRow] = []
        unparsed = 0
        for array in sorted(arrays):
            done = await self._commands.run(qacct_arguments(array))
            answer = read_qacct(done.code, done.output, done.errors)
            if isinstance(answer, Unanswered):
                return answer
            rows += answer.rows
            unparsed += answer.unparsed
        return QueueListing(rows, unparsed)


def _user_name() -> str:
    """Return the name of the user; that of all users if it is not known."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "*"
