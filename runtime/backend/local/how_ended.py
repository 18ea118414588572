"""How a job of this machine has ended: functions of the end of its processes. No I/O."""

from __future__ import annotations

import enum
import signal
from typing import Final

import attrs

from runtime.job import FailureKind
from runtime.process import UNKNOWN, Exit, TreeEnd
from runtime.verdict import PASSED, Verdict, failed

_SHELLS_SIGNAL: Final = 128
"""A shell whose program was ended by a signal exits with this plus the number of the signal."""


class Ending(enum.Enum):
    """How the processes of a job have ended, which determines how the job completes."""

    LOST = "some of its processes have outlived SIGKILL"
    STOPPED = "they were stopped on request"
    BROKEN = "they were killed because their guard had died"
    REAPED_ELSEWHERE = "other code has reaped the root"
    STOPPED_EARLY = "they were stopped because a fail pattern had matched"
    EXITED = "the root has exited by itself"


def how_ended(end: TreeEnd, *, is_stopped: bool) -> Ending:
    """Return how a job has ended. The first case that applies counts.

    Args:
        end: the end of its processes.
        is_stopped: whether a stop of the job was requested, perhaps after its end.
    """
    if end.left is not None:
        return Ending.LOST
    if end.stopped and is_stopped:
        return Ending.STOPPED
    if end.broken is not None:
        return Ending.BROKEN
    if end.exit is UNKNOWN:
        return Ending.REAPED_ELSEWHERE
    return Ending.STOPPED_EARLY if end.stopped else Ending.EXITED


def with_leftovers(leftovers: str, end: TreeEnd) -> Verdict:
    """Return the verdict on a job that passes apart from the processes that it left running.

    Args:
        leftovers: as for `LocalBackend`.
        end: the end of its processes.
    """
    if not end.left_behind or leftovers != "fail":
        return PASSED
    what = ", ".join(end.left_behind)
    return failed(FailureKind.LEFTOVERS, f"it ended and left processes running, which were killed: {what}")


def may_be_oom(how: Exit) -> bool:
    """Return whether the process, or the last program of a shell, was ended by SIGKILL."""
    return how.signal == signal.SIGKILL or how.code == _SHELLS_SIGNAL + signal.SIGKILL


def out_of_memory(verdict: Verdict) -> Verdict:
    """Return the verdict on a job that the kernel has killed because it was out of memory."""
    assert verdict.reason is not None
    message = f"{verdict.reason.message}; the kernel has killed a process here because it was out of memory"
    kind = FailureKind.OUT_OF_MEMORY
    return Verdict(kind.status, attrs.evolve(verdict.reason, message=message, kind=kind))


def over_ceiling(verdict: Verdict, over: str) -> Verdict:
    """Return the verdict on a job that was over its ceiling, whatever else is said of it.

    Args:
        verdict: what else is said.
        over: how it was over.
    """
    if verdict.reason is None or verdict.reason.message.startswith(over):  # nothing else is said
        return verdict
    kind = FailureKind.OUT_OF_MEMORY
    return Verdict(kind.status, attrs.evolve(verdict.reason, message=f"{over}; {verdict.reason.message}", kind=kind))
