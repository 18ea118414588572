"""The states of Grid Engine's jobs, and the phase that each means. Pure.

A state is a word of letters, as qstat prints it (see *qstat(1)*, of 8.1.9): ``qw`` waits, ``t`` is being sent to its
node, ``r`` runs, ``Rr`` runs again, ``dr`` is being deleted. A queue has such a word, too; ``u`` in it says that the
node has not answered the master for `max_unheard`. A job in a state that is not in the table is waited for.
"""

from __future__ import annotations

from typing import Final

import attrs

from runtime.backend.batch.system import Phase, State
from runtime.job import FailureKind

LETTERS: Final = frozenset("dEhrRsStTwq")
"""The letters that the state of a job may have."""
_PENDING: Final = State(Phase.PENDING)
_RUNNING: Final = State(Phase.RUNNING)
_UNKNOWN: Final = State(Phase.UNKNOWN)
NODE_TIMEOUT: Final = 60.0
"""Seconds that a node may not answer the master, as the queue says. After a restart of the master no node does, until
it has registered again: for up to 32 s, measured with 8.1.9. With a tenth, each restart ends all jobs that run in the
cluster; with ten times as many, the jobs of a node that died are known to be lost ten minutes late."""
NODE_LOST: Final = State(Phase.ENDED, FailureKind.NODE_FAILURE, doubt=NODE_TIMEOUT, lingers=True)
"""The queue shows the job as it was, for ever; if the node comes back, it may even go on. So it is cancelled."""


def state_of(letters: str, queue: str = "") -> State:
    """Return the meaning of the state of a job, on a queue in the state `queue`; ``""`` if it has none."""
    # UNKNOWN, not ENDED: a letter of another version must not end a job that runs.
    if not letters or not LETTERS.issuperset(letters):
        return _UNKNOWN
    if "q" in letters or "E" in letters:  # ``Eqw`` waits, too: until somebody clears the error, or deletes it
        return _PENDING
    if "u" in queue:
        # If it is cancelled already, the node ends it when it comes back.
        return attrs.evolve(NODE_LOST, lingers="d" not in letters)
    # ``t``: its script has not begun. With ``d`` as well it is cancelled again until it is gone: a master that was
    # killed may have forgotten to tell the node.
    return _PENDING if "t" in letters else _RUNNING if {*"rsST"} & {*letters} else _UNKNOWN


def note_of(letters: str, node: str) -> str | None:
    """Return why a job waits, or where it runs; `None` if there is nothing to say."""
    if "q" in letters or "E" in letters:
        return None if letters == "qw" else _described(letters)
    if not node:
        return _described(letters)
    return node if letters in ("r", "Rr") else f"{_described(letters)} on {node}"


_WORDS: Final = {
    "d": "being deleted",
    "E": "in error",
    "h": "held",
    "s": "suspended",
    "S": "suspended with its queue",
    "T": "suspended at a threshold",
    "t": "being started",
    "R": "started again",
}


def _described(letters: str) -> str:
    """Return a state in words, with the letters: ``Eqw (in error)``."""
    words = ", ".join(_WORDS[letter] for letter in letters if letter in _WORDS)
    return f"{letters} ({words})" if words else letters


RESCHEDULED: Final = "25 "
"""How the field ``failed`` of accounting begins for a start that was not the last one."""
_OVER_TIME: Final = 37
"""That code for a job over a limit that the master enforces, such as ``h_rt``."""
_NEVER_BEGUN: Final = range(1, 12)
"""Those codes for a job that failed before its script began: its node is not well."""
_KILLED: Final = 100
"""That code for a job that a signal ended: somebody's qdel, a limit of the queue, or the kernel."""


def ended_state(failed: int) -> State:
    """Return the meaning of the field ``failed`` in accounting."""
    if failed == _KILLED:
        return State(Phase.ENDED, may_be_memory=True)
    if failed == _OVER_TIME:
        return State(Phase.ENDED, FailureKind.TIMEOUT)
    return State(Phase.ENDED, FailureKind.NODE_FAILURE if failed in _NEVER_BEGUN else None)
