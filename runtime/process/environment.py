"""The environment that a job gets: the inherited one, without what an outer `make` left there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Final

LEFT_OUT: Final = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
"""With these, a `make` in a job would take itself for a part of the `make` that started the runtime."""


def inherited_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a copy of `environment` (this process's own, unless given) without `LEFT_OUT`."""
    inherited = dict(os.environ if environment is None else environment)
    for name in LEFT_OUT:
        inherited.pop(name, None)
    return inherited


def render_environment(environment: Mapping[str, str]) -> bytes:
    """Return `environment` as sorted lines ``NAME=value``, quoted for a shell."""
    lines = [f"{name}={shlex.quote(environment[name])}\n" for name in sorted(environment)]
    return os.fsencode("".join(lines))
