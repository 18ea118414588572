"""The status of a job, the moves between them that are legal, and the kinds of failure.

::

    SCHEDULED ──► QUEUED ◄──► RUNNING ──► PASSED | FAILED | KILLED
        │            │                          ▲
        └────────────┴──────────────────────────┘

`LEGAL_MOVES` is the rule; the drawing is an illustration. RUNNING goes back to QUEUED when a cluster requeues a job.
"""

from __future__ import annotations

import enum
from typing import Final

from runtime.errors import StatusMoveError


class JobStatus(enum.Enum):
    """The status of a job, from its submission to a scheduler to its end."""

    SCHEDULED = "Scheduled"
    """Waits for its dependencies."""
    QUEUED = "Queued"
    """Ready; waits for a slot or a resource, or in the queue of a cluster."""
    RUNNING = "Running"
    """Executes."""
    PASSED = "Passed"
    """Ran to its end, and the verdict is that it passed."""
    FAILED = "Failed"
    """Ran to its end, and the verdict is that it failed."""
    KILLED = "Killed"
    """Was stopped, or never began."""

    @property
    def shorthand(self) -> str:
        """One letter: ``S Q R P F K``."""
        return self.name[0]

    @property
    def is_terminal(self) -> bool:
        """Whether a job in this status has ended."""
        return self in TERMINAL


# Members are singletons, and enum's own hash is a call of a Python function.
JobStatus.__hash__ = object.__hash__  # type: ignore[method-assign]  # in the class, a type checker takes it for a method

# The members as globals, for code that runs once per job: with Python 3.11, reading an attribute of an enum class takes
# 0.1 µs, a global much less.
SCHEDULED: Final = JobStatus.SCHEDULED
QUEUED: Final = JobStatus.QUEUED
RUNNING: Final = JobStatus.RUNNING
PASSED: Final = JobStatus.PASSED
FAILED: Final = JobStatus.FAILED
KILLED: Final = JobStatus.KILLED

TERMINAL: Final = frozenset({PASSED, FAILED, KILLED})
"""The statuses of jobs that have ended."""

LEGAL_MOVES: Final[dict[JobStatus, frozenset[JobStatus]]] = {
    SCHEDULED: frozenset({QUEUED, *TERMINAL}),
    QUEUED: frozenset({RUNNING, *TERMINAL}),
    RUNNING: frozenset({QUEUED, *TERMINAL}),
    PASSED: frozenset(),
    FAILED: frozenset(),
    KILLED: frozenset(),
}
"""From each status, the statuses that may follow."""


def check_move(old: JobStatus, new: JobStatus) -> JobStatus:
    """Return `new` if a job may move to it from `old`.

    Raises:
        StatusMoveError: if `LEGAL_MOVES` does not have the move.
    """
    if new not in LEGAL_MOVES[old]:
        legal = ", ".join(sorted(status.name for status in LEGAL_MOVES[old])) or "nothing: it has ended"
        raise StatusMoveError(f"a job cannot go from {old.name} to {new.name}; from {old.name} may follow: {legal}")
    return new


class FailureKind(enum.StrEnum):
    """Why a job did not pass. Each kind goes with one status: see `status`."""

    EXIT_CODE = "exit_code"
    """It exited with a code other than zero."""
    SIGNAL = "signal"
    """A signal that the runtime did not send ended it."""
    FAIL_PATTERN = "fail_pattern"
    """A fail pattern matched a line of its log."""
    PASS_PATTERN_MISSING = "pass_pattern_missing"
    """A pass pattern matched no line of its log."""
    LOG_UNREADABLE = "log_unreadable"
    """Its log could not be read or judged."""
    LOG_LIMIT = "log_limit"
    """Its log grew beyond its `max_log`."""
    OUT_OF_MEMORY = "out_of_memory"
    """It was ended because memory ran out."""
    HOOK = "hook"
    """It passed, and then its `post_finish` raised."""
    LEFTOVERS = "leftovers"
    """It passed and left processes running, with ``leftovers="fail"``."""
    LICENCE = "licence"
    """There was no licence, as a pattern that the user gave shows."""
    FLAKY = "flaky"
    """It passed, after an attempt that failed, with ``flaky="fail"``."""
    TIMEOUT = "timeout"
    """It ran for longer than its `timeout`."""
    QUEUE_TIMEOUT = "queue_timeout"
    """It waited in a queue for longer than its `queue_timeout`."""
    BUSY = "busy"
    """Its backend stayed busy until the scheduler gave up."""
    LAUNCH_ERROR = "launch_error"
    """It could not be started."""
    LAUNCHER_ERROR = "launcher_error"
    """Its legacy launcher raised, or broke the launcher's protocol."""
    DEPENDENCY = "dependency"
    """A job that it needs did not pass."""
    CANCELLED = "cancelled"
    """It was stopped; the message says by what."""
    PREEMPTED = "preempted"
    """A batch system gave its place to another job."""
    NODE_FAILURE = "node_failure"
    """The machine that it ran on failed."""
    LOST = "lost"
    """Its end could not be observed within a deadline; some of its processes may still run."""
    BACKEND_ERROR = "backend_error"
    """Its backend broke."""

    @property
    def status(self) -> JobStatus:
        """The terminal status that goes with this kind."""
        return FAILED if self in _FAILED_KINDS else KILLED

    @property
    def is_infrastructure(self) -> bool:
        """Whether it says something about machines, licences and queues, and nothing about what the job tests."""
        return self in _INFRASTRUCTURE


_FAILED_KINDS: Final = frozenset(
    {
        FailureKind.EXIT_CODE,
        FailureKind.SIGNAL,
        FailureKind.FAIL_PATTERN,
        FailureKind.PASS_PATTERN_MISSING,
        FailureKind.LOG_UNREADABLE,
        FailureKind.LOG_LIMIT,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.HOOK,
        FailureKind.LEFTOVERS,
        FailureKind.LICENCE,
        FailureKind.FLAKY,
    }
)
_INFRASTRUCTURE: Final = frozenset(
    {
        FailureKind.OUT_OF_MEMORY,
        FailureKind.LICENCE,
        FailureKind.QUEUE_TIMEOUT,
        FailureKind.BUSY,
        FailureKind.LAUNCH_ERROR,
        FailureKind.LAUNCHER_ERROR,
        FailureKind.PREEMPTED,
        FailureKind.NODE_FAILURE,
        FailureKind.LOST,
        FailureKind.BACKEND_ERROR,
    }
)
