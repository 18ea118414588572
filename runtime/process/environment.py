"""The environment that a job gets: the inherited one, less what means nothing in a job; `PWD`; and its exports."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Final

LEFT_OUT: Final = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PWD", "OLDPWD")
"""With the first four, a `make` in a job would take itself for a part of the `make` that started the runtime. The last
two say where the runtime was started; a job has a ``PWD`` of its own: see `job_environment`."""


def inherited_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a copy of `environment` (this process's own, unless given) without `LEFT_OUT`."""
    inherited = dict(os.environ if environment is None else environment)
    for name in LEFT_OUT:
        inherited.pop(name, None)
    return inherited


def job_environment(inherited: Mapping[str, str], exports: Mapping[str, str], directory: str) -> dict[str, str]:
    """Return the environment of a job: ``PWD`` is the directory that it starts in, unless its exports say otherwise."""
    return {**inherited, "PWD": directory, **exports}


def render_environment(environment: Mapping[str, str]) -> bytes:
    """Return `environment` as sorted lines ``NAME=value``, quoted for a shell."""
    lines = [f"{name}={shlex.quote(environment[name])}\n" for name in sorted(environment)]
    return os.fsencode("".join(lines))
