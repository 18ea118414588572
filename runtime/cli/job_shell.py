"""The command ``shell``: a shell in the directory of a job, with its environment, to look closer at what happened.

The environment is the one that the job was started with, from the dump next to its log, so a command that is typed
there finds what the job found.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Mapping
from typing import Final, NoReturn

from runtime.backend.job_paths import ENVIRONMENT_FILE
from runtime.cli.recorded_run import TERMINAL_VARIABLES
from runtime.exit_calls import exec_now
from runtime.job import JobPaths
from runtime.jobfile.errors import InputError
from runtime.process.environment import HERE_VARIABLE
from runtime.roots import RootedPath

_MAX_DUMP: Final = 1 << 24
"""Bytes of a dump that are read: far more than the environment that Linux lets a program have."""
_PROMPT: Final = "JOB_RUNTIME_SHELL"
"""The variable that tells a prompt, or a script, in the shell of which job it is."""


def start_shell(job_id: str, paths: JobPaths, directory: RootedPath, log: RootedPath) -> NoReturn:
    """Replace this process by a shell in the working directory of a job.

    Args:
        job_id: the job's.
        paths: where its files are.
        directory: its output directory.
        log: its log.

    Raises:
        InputError: if its directory or its environment is gone, or the shell cannot be started.
    """
    try:
        environment = parse_environment(log.with_name(ENVIRONMENT_FILE).read(_MAX_DUMP))
    except OSError as exc:
        msg = f"the environment of the job is not known: {exc.filename}: {exc.strerror}; only local jobs leave it there"
        raise InputError(msg) from exc
    shell = os.environ.get("SHELL") or "/bin/sh"
    mine = {name: os.environ[name] for name in TERMINAL_VARIABLES if name in os.environ}
    try:
        _enter(paths, directory)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise InputError(f"the directory of the job cannot be entered: {paths.cwd}: {why}") from exc
    environment.pop(HERE_VARIABLE, None)  # with it, a resume would kill the shell as a leftover of its run
    try:
        _replace_process(shell, {**environment, **mine, "PWD": os.getcwd(), _PROMPT: job_id})
    except (OSError, ValueError) as exc:
        raise InputError(f"SHELL is {shell}, which cannot be started: {exc}; expected the path of a shell") from exc


def _replace_process(program: str, environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program, in which the two signals that Python ignores have their default action.

    Raises:
        OSError, ValueError: if it cannot be started. Then this process handles signals as before.
    """
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in (signal.SIGPIPE, signal.SIGXFSZ)]
    try:
        exec_now(program, [program], environment)
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _enter(paths: JobPaths, directory: RootedPath) -> None:
    """Make the working directory of a job that of this process. A link that a job has put there is not followed."""
    if paths.cwd != paths.odir:
        os.chdir(paths.cwd)  # one that the user named, and not below the run directory
        return
    fd = directory.open_directory()
    try:
        os.fchdir(fd)
    finally:
        os.close(fd)


def parse_environment(dump: bytes) -> dict[str, str]:
    """Return the environment of a dump: lines ``NAME=value``, quoted for a shell. What is none of ours is left out."""
    try:
        words = shlex.split(os.fsdecode(dump))
    except ValueError:  # a quotation without end: the file was cut off, or a job has written it
        return {}
    return {name: value for name, equals, value in (word.partition("=") for word in words) if name and equals}
