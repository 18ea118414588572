"""A launcher whose poll holds the interpreter's lock; in a module of its own, so that another process can import it."""

from __future__ import annotations

import re
from typing import Final

from runtime import JobSpec, JobStatus

WILD: Final = re.compile("(a+)+$")
LENGTH: Final = 21
"""Letters before the one that does not match: each doubles the time, and these take some 0.2 s."""


class LockHolder:
    """Searches with a regular expression that tries all 2ⁿ ways and finds nothing, unless its job is to pass."""

    poll_freq = 0

    def __init__(self, job: JobSpec) -> None:
        """Take the job."""
        self._is_wild = job.cmd == "hold"

    def launch(self) -> None:
        """Do nothing."""

    def poll(self) -> JobStatus:
        """Hold the lock, then say that it has passed."""
        if self._is_wild and WILD.search("a" * LENGTH + "b"):
            return JobStatus.FAILED
        return JobStatus.PASSED

    def kill(self) -> None:
        """Be there."""
