"""The status of a job, the moves between them that are legal, and the kinds of failure.

::

    SCHEDULED ──► QUEUED ◄──► RUNNING ──► PASSED | FAILED | KILLED
        │            │                          ▲
        └────────────┴──────────────────────────┘

`LEGAL_MOVES` is the rule; the drawing is an illustration. RUNNING goes back to QUEUED when a cluster requeues a job.
"""

from __future__ import annotations

import enum
from typing import Final, Self

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


class FailureClass(enum.StrEnum):
    """Who has to look at a failure."""

    DESIGN = "design"
    """Those who wrote the job and what it tests."""
    INFRASTRUCTURE = "infrastructure"
    """Those who run machines, licences, queues and tools: it says nothing about what the job tests."""
    NEITHER = "neither"
    """Nobody: the job was cancelled."""


_DESIGN: Final = FailureClass.DESIGN
_INFRASTRUCTURE: Final = FailureClass.INFRASTRUCTURE


class FailureKind(enum.StrEnum):
    """Why a job did not pass: a table, in which each kind has a value, a `status` and a `failure_class`.

    A job file or a program has kinds of its own besides: see `runtime.job.kinds`.
    """

    _value_: str
    status: JobStatus
    """The terminal status that goes with this kind."""
    failure_class: FailureClass
    """Who has to look at it. That of `DEPENDENCY` depends on its cause: see `JobStatusInfo.failure_class`."""

    # The defaults are for type checkers: to them, ``FailureKind("lost")``, which finds a member, is a call of this.
    def __new__(cls, value: str, status: JobStatus = KILLED, failure_class: FailureClass = _DESIGN) -> Self:
        """Make a member of its three columns."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        member.failure_class = failure_class
        return member

    EXIT_CODE = "exit_code", FAILED, _DESIGN
    """It exited with a code other than zero."""
    SIGNAL = "signal", FAILED, _DESIGN
    """A signal that the runtime did not send ended it."""
    FAIL_PATTERN = "fail_pattern", FAILED, _DESIGN
    """A fail pattern matched a line of its log."""
    PASS_PATTERN_MISSING = "pass_pattern_missing", FAILED, _DESIGN
    """A pass pattern matched no line of its log."""
    LOG_UNREADABLE = "log_unreadable", FAILED, _DESIGN
    """Its log could not be read or judged."""
    LOG_LIMIT = "log_limit", FAILED, _DESIGN
    """Its log grew beyond its `max_log`."""
    OUT_OF_MEMORY = "out_of_memory", FAILED, _INFRASTRUCTURE
    """It was ended because memory ran out."""
    HOOK = "hook", FAILED, _DESIGN
    """It passed, and then its `post_finish` raised."""
    LEFTOVERS = "leftovers", FAILED, _DESIGN
    """It passed and left processes running, with ``leftovers="fail"``."""
    LICENCE = "licence", FAILED, _INFRASTRUCTURE
    """There was no licence, as a line of its log shows: see `Kinds`."""
    FLAKY = "flaky", FAILED, _DESIGN
    """It passed, after an attempt that failed, with ``flaky="fail"``."""
    TIMEOUT = "timeout", KILLED, _DESIGN
    """It ran for longer than its `timeout`."""
    IDLE = "idle", KILLED, _DESIGN
    """It wrote nothing to its log for longer than its `idle_timeout`."""
    QUEUE_TIMEOUT = "queue_timeout", KILLED, _INFRASTRUCTURE
    """It waited in a queue for longer than its `queue_timeout`."""
    BUSY = "busy", KILLED, _INFRASTRUCTURE
    """Its backend stayed busy until the scheduler gave up."""
    LAUNCH_ERROR = "launch_error", KILLED, _INFRASTRUCTURE
    """It could not be started."""
    LAUNCHER_ERROR = "launcher_error", KILLED, _INFRASTRUCTURE
    """Its legacy launcher raised, or broke the launcher's protocol."""
    DEPENDENCY = "dependency", KILLED, FailureClass.NEITHER
    """A job that it needs did not pass. It counts as the failure of that job."""
    CANCELLED = "cancelled", KILLED, FailureClass.NEITHER
    """It was stopped; the message says by what."""
    PREEMPTED = "preempted", KILLED, _INFRASTRUCTURE
    """A batch system gave its place to another job."""
    NODE_FAILURE = "node_failure", KILLED, _INFRASTRUCTURE
    """The machine that it ran on failed."""
    LOST = "lost", KILLED, _INFRASTRUCTURE
    """Its end could not be observed within a deadline; some of its processes may still run."""
    BACKEND_ERROR = "backend_error", KILLED, _INFRASTRUCTURE
    """Its backend broke."""

    @property
    def is_infrastructure(self) -> bool:
        """Whether it says something about machines, licences and queues, and nothing about what the job tests."""
        return self.failure_class is _INFRASTRUCTURE
