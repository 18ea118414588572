"""What a run was made of: versions of programs, the state of the source tree, the machine, and the environment.

It is for the first record of a journal. What cannot be found out is `None`, and never an error: a run is not refused
because its machine has no git.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs
import trio

from runtime.errors import BackendBrokenError
from runtime.job import JobSpec
from runtime.job.shorten import shorten
from runtime.journal import JSON
from runtime.process.commands import Commands
from runtime.process.environment import inherited_environment, job_environment

logger: Final = logging.getLogger("runtime.cli")

COMMAND_TIMEOUT: Final = 5.0
"""Seconds for each command, during which no job starts. Arbitrary: ten times more, and a tool that waits for a licence
holds up the night; a tenth, and ``git status`` on a network file system does not end in time."""

_MAX_VERSION: Final = 200
"""Characters of a version that are recorded. Arbitrary: more than the first line of any tool that we know."""


@attrs.frozen
class VersionCommand:
    """A command whose first line is the version of a tool."""

    text: str
    """For ``/bin/sh``."""
    exports: tuple[tuple[str, str], ...] = ()
    """The variables of the job that names it: a ``PATH``, for example."""


def package_version() -> str | None:
    """Return the version of this package; `None` if it is not installed. Blocks."""
    import importlib.metadata

    try:
        return importlib.metadata.version("job-runtime")
    except importlib.metadata.PackageNotFoundError:
        return None


def version_commands(jobs: Iterable[JobSpec], texts: Mapping[str, str]) -> dict[str, VersionCommand]:
    """Return the version command of each name of jobs that has one.

    Args:
        jobs: of the run; those of one name have the same variables, or nearly so, and the first one counts.
        texts: name of jobs to its command.
    """
    found: dict[str, VersionCommand] = {}
    for job in jobs if texts else ():
        if job.name in texts and job.name not in found:
            found[job.name] = VersionCommand(texts[job.name], tuple(sorted(job.exports.items())))
    return found


async def tool_versions(commands: Mapping[str, VersionCommand]) -> dict[str, JSON]:
    """Return for each name the first line that its command printed; `None` if it failed, or took too long."""
    versions: dict[VersionCommand, str | None] = {}
    inherited = inherited_environment()

    async def ask(command: VersionCommand) -> None:
        environment = job_environment(inherited, dict(command.exports), "/")
        versions[command] = line = await _first_line(["/bin/sh", "-c", command.text], environment)
        if line is None:
            what = shorten(ascii(command.text), _MAX_VERSION)
            logger.warning("the version command %s failed, or printed nothing: the version is not recorded", what)

    async with trio.open_nursery() as nursery:
        for command in dict.fromkeys(commands.values()):  # each of them once
            nursery.start_soon(ask, command)
    return {name: versions[command] for name, command in commands.items()}


async def git_state(directory: str, left_out: str) -> dict[str, JSON] | None:
    """Return the revision that is checked out in `directory`, and whether its tree is clean; `None` if there is none.

    Args:
        directory: in the tree.
        left_out: a directory that does not count: what runs write makes no tree unclean.
    """
    # Nothing is written, not even git's own index, and no program that a configuration names is started.
    environment = {**inherited_environment(), "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    git = ["git", "-C", directory, "-c", "core.fsmonitor=false"]
    found = await _output([*git, "rev-parse", "HEAD", "--show-toplevel"], environment)
    if found is None or len(lines := found.splitlines()) != 2:  # noqa: PLR2004 - the revision, and the tree
        return None
    revision, top = lines
    only = ["--", ":(top)"]
    if left_out.startswith(f"{top}/"):
        only.append(f":(top,exclude,literal){left_out.removeprefix(f'{top}/')}")
    changed = await _output([*git, "status", "--porcelain", *only], environment)
    return {"revision": revision, "clean": None if changed is None else not changed}


def machine() -> dict[str, JSON]:
    """Return what kind of machine this is."""
    system = os.uname()
    return {"system": system.sysname, "release": system.release, "machine": system.machine, "cpus": os.cpu_count()}


def python_version() -> str:
    """Return the version of the interpreter."""
    return f"{platform.python_implementation()} {platform.python_version()}"


async def _first_line(argv: Sequence[str], environment: Mapping[str, str]) -> str | None:
    output = await _output(argv, environment)
    line = next((line.strip() for line in (output or "").splitlines() if line.strip()), None)
    return None if line is None else shorten(line, _MAX_VERSION)


async def _output(argv: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Return what a command printed on its standard output; `None` if it failed, or took too long."""
    try:
        result = await Commands(environment, COMMAND_TIMEOUT).run(argv)
    except BackendBrokenError:  # SIGCHLD is ignored, so it cannot be known whether the command failed
        return None
    return result.output if result.code == 0 else None
