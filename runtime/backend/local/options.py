"""`LocalOptions` and `StopTimeouts`: the options of a `LocalBackend`, checked."""

from __future__ import annotations

from typing import Final

import attrs

from runtime.process import SoftStep, SoftSteps, StopSteps
from runtime.process.headroom import Headroom

_KILL_MARGIN: Final = 5.0
"""Seconds after the last step of a kill until the contract abandons the job. Arbitrary: ten times longer delays the end
of a run with a lost job, ten times shorter reports as lost a job whose end was about to be reported."""


@attrs.frozen
class StopTimeouts:
    """Seconds of the steps that end a job; `None` for no limit."""

    term: float | None
    """From SIGTERM to SIGKILL."""
    kill: float | None
    """From SIGKILL until a job that is still there counts as lost."""

    def steps(self, soft: SoftStep | None) -> StopSteps:
        """Return the steps that stop a job with this soft step."""
        return StopSteps(self.term, self.kill, soft)

    def total(self, soft: float | None) -> float | None:
        """Return the most seconds that a stop takes whose soft step takes `soft` seconds; `None` for no limit."""
        # The kill timeout counts twice: for the end after SIGKILL, and for the verdict and the hook after the end.
        steps = (soft, self.term, self.kill, self.kill, _KILL_MARGIN)
        return None if None in steps else sum(step or 0 for step in steps)


@attrs.frozen
class LocalOptions:
    """How a `LocalBackend` runs its jobs; see there."""

    containment: str
    leftovers: str
    timeouts: StopTimeouts
    soft: SoftSteps
    stop_on_fail_pattern: bool
    max_output_dirs: int | None
    terminal: tuple[int, int]
    headroom: Headroom
