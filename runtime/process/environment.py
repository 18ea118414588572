"""The environment of a job: the inherited one without some variables, `PWD`, and the job's exports."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Final

LEFT_OUT: Final = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PWD", "OLDPWD")
"""With the first four, a `make` in a job would act as a sub-make of the `make` that started the runtime. The last two
name the directory of the runtime; a job has a ``PWD`` of its own: see `job_environment`."""

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


def job_environment(inherited: Mapping[str, str], exports: Mapping[str, str], directory: str) -> dict[str, str]:
    """Return the environment of a job. ``PWD`` is the directory that it starts in, unless its exports set it."""
    return {**inherited, "PWD": directory, **exports}


def render_environment(environment: Mapping[str, str]) -> bytes:
    """Return `environment` as sorted lines ``NAME=value``, quoted for a shell."""
    lines = [f"{name}={shlex.quote(environment[name])}\n" for name in sorted(environment)]
    return os.fsencode("".join(lines))
