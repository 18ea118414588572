"""A `GridEngineBackend` on a cluster, real or fake."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from runtime.backend.gridengine import GridEngineBackend
from runtime.testing.fixture import Session
from tests.slurm.jobs import TIMEOUT, BatchFixtures, on_cluster

POLL_INTERVAL = 0.2
PROGRAMS = ("qsub", "qstat", "qdel", "qalter", "qconf", "qacct")

BUSY_ONCE = """
for word; do
    if [ "${word#busy-}" != "$word" ] && mkdir "$(dirname "$0")/$word" 2>/dev/null; then
        echo "Unable to run job: job rejected: only 2 jobs are allowed per user (current job count: 2)" >&2
        echo "Exiting." >&2
        exit 25
    fi
done
"""
"""Lines for a qsub that refuses the first array with each such account, as if the user's queue were full."""


def fixtures(directory: Path, poll_interval: float = POLL_INTERVAL) -> BatchFixtures:
    """Return fixtures of a `GridEngineBackend`; see `BatchFixtures`."""
    return BatchFixtures(directory, poll_interval, GridEngineBackend, lambda mark: ["-A", mark])


def on_grid_engine(
    run_dir: Path, *, time_limit: float = TIMEOUT, **options: Any
) -> AbstractAsyncContextManager[tuple[GridEngineBackend, Session]]:
    """Open a backend and a session; when it closes, each accepted job must have completed once."""
    return on_cluster(GridEngineBackend(run_dir, **{"poll_interval": POLL_INTERVAL, **options}), time_limit)
