"""The states of Slurm's jobs, and the phase that each means. Pure.

The table has the base states and the flags of Slurm's documentation, *Job State Codes*, up to version 25.05. A flag is
shown in place of the base state. A job in a state that is not in the table is waited for.
"""

from __future__ import annotations

from typing import Final

from runtime.backend.batch.system import Phase, State
from runtime.job import FailureKind

_BY_ITSELF: Final = State(Phase.ENDED)
_PENDING: Final = State(Phase.PENDING)
_RUNNING: Final = State(Phase.RUNNING)
_ENDING: Final = State(Phase.ENDING)

STATES: Final = {
    # Ended.
    "BOOT_FAIL": State(Phase.ENDED, FailureKind.NODE_FAILURE),
    "CANCELLED": State(Phase.ENDED, FailureKind.CANCELLED),
    "COMPLETED": _BY_ITSELF,
    "DEADLINE": State(Phase.ENDED, FailureKind.TIMEOUT),
    "FAILED": _BY_ITSELF,
    "NODE_FAIL": State(Phase.ENDED, FailureKind.NODE_FAILURE),
    "OUT_OF_MEMORY": State(Phase.ENDED, FailureKind.OUT_OF_MEMORY),
    "PREEMPTED": State(Phase.ENDED, FailureKind.PREEMPTED),
    "REVOKED": _BY_ITSELF,  # another cluster of the federation runs it: only its record tells how it ends
    "TIMEOUT": State(Phase.ENDED, FailureKind.TIMEOUT),
    # Not started, or not started again yet.
    "CONFIGURING": _PENDING,
    "EXPEDITING": _PENDING,
    "PENDING": _PENDING,
    "POWER_UP_NODE": _PENDING,
    "REQUEUED": _PENDING,
    "REQUEUE_FED": _PENDING,
    "REQUEUE_HOLD": _PENDING,
    "RESV_DEL_HOLD": _PENDING,
    "SPECIAL_EXIT": _PENDING,  # held until somebody releases it
    # Has its nodes.
    "RESIZING": _RUNNING,
    "RUNNING": _RUNNING,
    "SIGNALING": _RUNNING,
    "STOPPED": _RUNNING,
    "SUSPENDED": _RUNNING,
    # Ends, or is about to be started again: the next state tells which.
    "COMPLETING": _ENDING,
    "LAUNCH_FAILED": _ENDING,
    "RECONFIG_FAIL": _ENDING,
    "STAGE_OUT": _ENDING,
    "UPDATE_DB": _ENDING,
}

_UNKNOWN: Final = State(Phase.UNKNOWN)
_KILLED: Final = State(Phase.ENDED, may_be_memory=True)


def state_of(word: str, reason: str = "") -> State:
    """Return the meaning of a state. Accounting adds to some names: ``CANCELLED by 1000``, ``RUNNING+``.

    Args:
        word: the state.
        reason: what the queue has as its reason.
    """
    if word == "FAILED" and reason == "JobLaunchFailure":
        # The batch script was ended by a signal, which nobody has asked for. With `OverMemoryKill`, it is that.
        return _KILLED
    # UNKNOWN, not ENDED: a state of a later version of Slurm must not end a job that runs.
    return STATES.get(word.partition(" ")[0].rstrip("+"), _UNKNOWN)
