"""`LaunchProgress`: what a native backend has done for a job before it was refused."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class LaunchProgress:
    """How far the launch of an attempt has come. Kept while the job is refused, so that no step is done twice."""

    attempt: int
    renewed: bool = False
    """Whether the old output directories, and what an earlier attempt left, were renamed."""
    hooked: bool = False
    """Whether `pre_launch` was called."""
