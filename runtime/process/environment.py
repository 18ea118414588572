"""The environment of a job: the inherited one without some variables, and what each attempt at a job adds to it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from runtime.process.identity import ATTEMPT_VARIABLE, ID_VARIABLE, SEED_VARIABLE

if TYPE_CHECKING:
    from runtime.process.identity import Identity

_MAX_ID: Final = 1 << 16
"""Bytes of an id that a job is told. Arbitrary: a program gets no variable of more than 128 KiB, and would not be
started with one."""

LEFT_OUT: Final = (
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"),
    *("PWD", "OLDPWD"),
    *(ID_VARIABLE, ATTEMPT_VARIABLE, SEED_VARIABLE),
)
"""With the first four, a `make` in a job would act as a sub-make of the `make` that started the runtime. The next two
name the directory of the runtime; a job has a ``PWD`` of its own: see `job_environment`. The last are those of the job
that started the runtime, if one did."""

RUN_VARIABLE: Final = "JOB_RUNTIME_RUN"
"""The variable with the run token, in the environment of all jobs of a run of the command line."""

HERE_VARIABLE: Final = "JOB_RUNTIME_HERE"
"""The variable with the run token, in the environment of all processes of such a run that end with it: what is left of
them after a kill is found by it. A batch system must not pass it on to its jobs, which go on."""


def inherited_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a copy of `environment` (by default that of this process) without `LEFT_OUT`."""
    inherited = dict(os.environ if environment is None else environment)
    for name in LEFT_OUT:
        inherited.pop(name, None)
    return inherited


def outliving_environment() -> dict[str, str]:
    """Return what processes inherit that outlive this one, such as jobs of a batch system."""
    inherited = inherited_environment()
    inherited.pop(HERE_VARIABLE, None)
    return inherited


def job_identity(job_id: str, attempt: int = 1, seed: int | None = None) -> Identity:
    """Return what a job is told about itself.

    Args:
        job_id: the id of the job. It is left out if no program can be given this text.
        attempt: the number of the attempt, from 1.
        seed: the seed of the job; `None` if it has none.
    """
    try:
        encoded = job_id.encode() if job_id.isascii() else os.fsencode(job_id)  # the usual one is a call less
    except UnicodeEncodeError:  # a lone surrogate
        return None, attempt, seed
    return None if b"\0" in encoded or len(encoded) > _MAX_ID else encoded, attempt, seed


def job_variables(
    job_id: str, attempt: int = 1, seed: int | None = None, exports: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the variables that one attempt at a job adds to the inherited ones: what it is, and its exports.

    Args:
        job_id: the id of the job. The variable is left out if no program can be given this text.
        attempt: the number of the attempt, from 1.
        seed: the seed of the job; `None` if it has none.
        exports: those of the job. They win.
    """
    variables = {ATTEMPT_VARIABLE: str(attempt)}
    if job_identity(job_id)[0] is not None:
        variables[ID_VARIABLE] = job_id
    if seed is not None:
        variables[SEED_VARIABLE] = str(seed)
    return {**variables, **exports} if exports else variables


def job_environment(inherited: Mapping[str, str], variables: Mapping[str, str], directory: str) -> dict[str, str]:
    """Return the environment of a job. ``PWD`` is the directory that it starts in, unless its exports set it.

    Args:
        inherited: see `inherited_environment`.
        variables: what the job adds: see `job_variables`.
        directory: the directory that it starts in.
    """
    return {**inherited, "PWD": directory, **variables}


def render_environment(environment: Mapping[str, str]) -> bytes:
    """Return `environment` as sorted lines ``NAME=value``, quoted for a shell."""
    lines = [f"{name}={shlex.quote(environment[name])}\n" for name in sorted(environment)]
    return os.fsencode("".join(lines))


class EnvironmentDumps:
    """Renders the environments of jobs that inherit the same variables, which are rendered once.

    Args:
        inherited: those variables.
    """

    def __init__(self, inherited: Mapping[str, str]) -> None:
        self._inherited = inherited
        self.shared: Final = render_environment(inherited)
        """The dump of the inherited variables."""

    def of(self, variables: Mapping[str, str]) -> bytes:
        """Return the dump of a job that adds `variables`. ``PWD`` is not in it, unless its exports set it."""
        if self._inherited.keys().isdisjoint(variables):
            return self.shared + render_environment(variables)
        return render_environment({**self._inherited, **variables})
