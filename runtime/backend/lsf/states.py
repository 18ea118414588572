"""The states of LSF's jobs, and the phase that each means. Pure.

States and termination reasons are those of the documentation of IBM Spectrum LSF 10.1. A job in a state that is not in
the table is waited for. A reason that is not in the table says no more than that the job has ended.
"""

from __future__ import annotations

from typing import Final

from runtime.backend.batch.system import Phase, State
from runtime.job import FailureKind

_BY_ITSELF: Final = State(Phase.ENDED)
_PENDING: Final = State(Phase.PENDING)
_RUNNING: Final = State(Phase.RUNNING)
_UNKNOWN: Final = State(Phase.UNKNOWN)
_CANCELLED: Final = State(Phase.ENDED, FailureKind.CANCELLED)
_TIMEOUT: Final = State(Phase.ENDED, FailureKind.TIMEOUT)
_MEMORY: Final = State(Phase.ENDED, FailureKind.OUT_OF_MEMORY)
_PREEMPTED: Final = State(Phase.ENDED, FailureKind.PREEMPTED)
_NODE: Final = State(Phase.ENDED, FailureKind.NODE_FAILURE)
_KILLED: Final = State(Phase.ENDED, may_be_memory=True)

NODE_TIMEOUT: Final = 300.0
"""Seconds that a node may not answer. LSF shows its jobs as UNKWN after it has asked for a while, and as they were once
it answers again. Arbitrary: with a tenth, each restart of a daemon ends jobs that run; with ten times as many, the jobs
of a node that died are known to be lost an hour late."""

STATES: Final = {
    # Not started, or not started again yet.
    "PEND": _PENDING,
    "PSUSP": _PENDING,
    "FWD_PEND": _PENDING,
    "PROV": _PENDING,  # its node is being powered on
    "WAIT": _PENDING,  # behind others in a chunk, on its node
    # Has its node.
    "RUN": _RUNNING,
    "SSUSP": _RUNNING,
    "USUSP": _RUNNING,
    # Ended.
    "DONE": _BY_ITSELF,
    "EXIT": _BY_ITSELF,  # see `ended_state`
    "POST_DONE": _BY_ITSELF,
    "POST_ERR": _BY_ITSELF,
    # The queue shows the job like that for ever; if its node comes back, it may even go on. So it is cancelled.
    "UNKWN": State(Phase.ENDED, FailureKind.NODE_FAILURE, doubt=NODE_TIMEOUT, lingers=True),
    # It has been cancelled while it was UNKWN.
    "ZOMBI": State(Phase.ENDED, FailureKind.NODE_FAILURE, doubt=NODE_TIMEOUT),
}

_REASONS: Final = {
    **dict.fromkeys(("TERM_OWNER", "TERM_FORCE_OWNER", "TERM_ADMIN", "TERM_FORCE_ADMIN"), _CANCELLED),
    "TERM_BUCKET_KILL": _CANCELLED,
    **dict.fromkeys(("TERM_RUNLIMIT", "TERM_CPULIMIT", "TERM_DEADLINE"), _TIMEOUT),
    **dict.fromkeys(("TERM_MEMLIMIT", "TERM_SWAP"), _MEMORY),
    **dict.fromkeys(("TERM_PREEMPT", "TERM_LOAD", "TERM_WINDOW", "TERM_RC"), _PREEMPTED),
    **dict.fromkeys(("TERM_ZOMBIE", "TERM_REMOVE_HUNG_JOB", "TERM_CWD_NOTEXIST", "TERM_PRE_EXEC_FAIL"), _NODE),
    "TERM_EXTERNAL_SIGNAL": _KILLED,  # the kernel's, for example, when a node has no memory left
}
"""From LSF's termination reason to what it means."""

_SIGKILL_STATUS: Final = 137


def state_of(word: str) -> State:
    """Return the meaning of a state."""
    # UNKNOWN, not ENDED: a state of a later version must not end a job that runs.
    return STATES.get(word, _UNKNOWN)


def ended_state(reason: str, code: int | None) -> State:
    """Return the meaning of EXIT.

    Args:
        reason: LSF's termination reason, or "".
        code: LSF's exit code; `None` if it has none, as of a job that was cancelled before it began.
    """
    if reason:
        return _REASONS.get(reason, _BY_ITSELF)
    if code is None:
        return _CANCELLED
    return _KILLED if code == _SIGKILL_STATUS else _BY_ITSELF


_WORDS: Final = {
    "PSUSP": "held",
    "SSUSP": "suspended by LSF",
    "USUSP": "suspended by somebody",
    "PROV": "its node is being powered on",
    "UNKWN": "its node does not answer",
    "ZOMBI": "cancelled while its node does not answer",
}


def described(word: str) -> str:
    """Return a state in words, with its name: ``PSUSP (held)``."""
    return f"{word} ({_WORDS[word]})" if word in _WORDS else word
