"""Which test a job belongs to: jobs that differ only in their seed are one *test*. Pure."""

from __future__ import annotations

from typing import Final

MAX_SEED: Final = 2**63 - 1
"""The largest seed that a test leaves out, as the index of runs can have no larger one."""


def split_seed(job_id: str, seed: int | None) -> tuple[str, int | None]:
    """Return the test of a job, and the seed that its id ends with.

    The seeds of DVSim are too large to be kept, and are different in each run: its jobs are tests without them.
    """
    if seed is not None and 0 <= seed <= MAX_SEED and job_id.endswith(suffix := seed_suffix(seed)):
        return job_id.removesuffix(suffix), seed
    if seed is not None and seed > MAX_SEED:
        return job_id.removesuffix(f".{seed}"), None
    return job_id, None


def seed_suffix(seed: int) -> str:
    """Return what the id of a job of a job file ends with that has this seed."""
    return f".seed={seed}"
