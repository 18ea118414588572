"""Actions: what a plan decides. The runner of the backend carries them out, and tells the plan what came of them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runtime.job.protocol import Job


@attrs.frozen
class Submit:
    """Submit these jobs to their backend."""

    backend: str
    jobs: Sequence[Job]


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
