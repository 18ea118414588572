"""Jobs of the fake: the request, and the state of the job."""

from __future__ import annotations

import os
from collections.abc import Mapping

import attrs

PENDING, RUNNING, COMPLETING = "PENDING", "RUNNING", "COMPLETING"

COMPACT: Mapping[str, str] = {
    "BOOT_FAIL": "BF", "CANCELLED": "CA", "COMPLETED": "CD", "COMPLETING": "CG", "CONFIGURING": "CF", "DEADLINE": "DL",
    "FAILED": "F", "NODE_FAIL": "NF", "OUT_OF_MEMORY": "OOM", "PENDING": "PD", "PREEMPTED": "PR", "RUNNING": "R",
    "REQUEUED": "RQ", "REQUEUE_HOLD": "RH", "RESIZING": "RS", "REVOKED": "RV", "SIGNALING": "SI", "SPECIAL_EXIT": "SE",
    "STAGE_OUT": "SO", "STOPPED": "ST", "SUSPENDED": "S", "TIMEOUT": "TO",
}  # fmt: skip
"""The state words of Slurm 22.05 that `squeue` prints, long and short."""


@attrs.frozen
class Request:
    """One submission."""

    name: str
    script: bytes
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    output: str
    error: str | None = None
    indices: tuple[int, ...] | None = None
    """The indices of the array's elements; `None` for a single job."""
    throttle: int | None = None
    """How many elements may run at once."""
    comment: str | None = None
    partition: str = "main"
    account: str | None = None
    qos: str | None = None
    licences: str | None = None
    cpus: int = 1
    time_limit: float | None = None
    """Seconds."""
    requeue: bool = True
    held: bool = False
    excluded: frozenset[str] = frozenset()
    """Nodes that it must not run on."""
    append: bool = False
    requeue_codes: frozenset[int] = frozenset()
    """Exit codes with which it goes back into the queue."""


@attrs.define(eq=False)
class Job:
    """A single job or one element of an array, as the controller knows it."""

    request: Request
    array_id: int
    """The id that `sbatch` printed; also for a single job."""
    index: int | None
    """Its index in the array; `None` for a single job, and for an array that was cancelled before any element began."""
    submitted: float
    """In seconds of the controller's clock, as are all times."""
    job_id: int
    """Its own id: that of the array until it begins."""
    state: str = PENDING
    reason: str = "None"
    final: str = ""
    """The state after COMPLETING."""
    node: str | None = None
    started: float | None = None
    ended: float | None = None
    eligible: float = 0.0
    """The earliest time at which it starts."""
    kill_at: float | None = None
    """When it gets SIGKILL, if SIGTERM has not ended it."""
    status: int = 0
    """Its wait status."""
    restarts: int = 0
    process: int = 0
    """The process of its script, which leads its session; 0 while there is none."""
    shown: str | None = None
    """The state that is shown instead of the true one; `None` for the true one."""

    @property
    def label(self) -> str:
        """The id as users write it: ``7`` or ``7_3``."""
        return str(self.array_id) if self.index is None else f"{self.array_id}_{self.index}"

    @property
    def visible(self) -> str:
        """The state that is shown."""
        return self.shown or self.state

    @property
    def is_active(self) -> bool:
        """Whether it occupies a node."""
        return self.state in {RUNNING, COMPLETING}

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.state != PENDING and not self.is_active

    @property
    def exit_code(self) -> str:
        """Exit code and signal, as accounting writes them."""
        return f"{os.waitstatus_to_exitcode(self.status) if not self.status & 0x7F else 0}:{self.status & 0x7F}"
