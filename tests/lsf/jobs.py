"""An `LsfBackend` on a fake cluster."""

from __future__ import annotations

from pathlib import Path

from runtime.backend.lsf import LsfBackend
from tests.slurm.jobs import BatchFixtures

POLL_INTERVAL = 0.1


def fixtures(directory: Path, poll_interval: float = POLL_INTERVAL) -> BatchFixtures:
    """Return fixtures of an `LsfBackend`; see `BatchFixtures`."""
    return BatchFixtures(directory, poll_interval, LsfBackend, lambda mark: ["-Jd", mark])
