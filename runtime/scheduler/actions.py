"""Actions: what a plan decides. The runner of the backend carries them out, and tells the plan what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs

from runtime.job.protocol import Job

NO_ATTEMPTS: Final[Mapping[str, int]] = MappingProxyType({})


@attrs.frozen
class Submit:
    """Submit these jobs to their backend."""

    backend: str
    jobs: Sequence[Job]
    attempts: Mapping[str, int] = NO_ATTEMPTS
    """Id to the number of the attempt, as for `RuntimeBackend.submit_many`; an id that is absent means attempt 1."""


@attrs.frozen
class Kill:
    """Kill these jobs, which their backend has, or is about to get."""

    backend: str
    ids: Sequence[str]
    by: str
    """Who asked for it."""
    force: bool
    """Skip soft stop and SIGTERM."""


Action = Submit | Kill
