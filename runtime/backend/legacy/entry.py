"""`Entry`: a job and its launcher, and the state of the two.

The states, and the moves from one to another (`MOVES`)
-------------------------------------------------------
=========  ====================================================  ===========================================
state      the launcher                                          what follows
=========  ====================================================  ===========================================
BUILDING   its constructor is queued or in progress              LAUNCHING, DROPPED, ABANDONED
LAUNCHING  `launch()` is queued or in progress                   IDLE, KEPT, DROPPED, ABANDONED
IDLE       its job was launched; waits for the next poll         POLLING, KILLING, DROPPED
POLLING    `poll()` is queued or in progress                     IDLE, STALLED, KILLING, DROPPED, ABANDONED
STALLED    `poll()` takes longer than `stall_timeout`            IDLE, KILLING, DROPPED, ABANDONED
KILLING    `kill()` is queued or in progress                     DROPPED, ABANDONED
KEPT       `launch()` said busy; kept for a retry of the job     LAUNCHING, DROPPED
DROPPED    has no call, and will have none                       (nothing)
ABANDONED  belongs to the thread of a call that did not return   (nothing)
=========  ====================================================  ===========================================

So a launcher never has two calls. Only the event loop moves an entry; a thread sets its launcher and its answer. A call
counts as in progress until the loop has handled its answer.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from runtime.backend.contract.live import LiveJob
from runtime.backend.legacy.call_batches import Call, Step, renew_all
from runtime.backend.legacy.launcher import AnyLauncher
from runtime.job.protocol import Specification


class LauncherState(enum.IntEnum):
    """What is done with a launcher. See the module's docstring."""

    BUILDING = 0
    LAUNCHING = 1
    IDLE = 2
    POLLING = 3
    STALLED = 4
    KILLING = 5
    KEPT = 6
    DROPPED = 7
    ABANDONED = 8


# Module constants, as looking up a member of an enum is slow: see `runtime.job.status`.
BUILDING: Final = LauncherState.BUILDING
LAUNCHING: Final = LauncherState.LAUNCHING
IDLE: Final = LauncherState.IDLE
POLLING: Final = LauncherState.POLLING
STALLED: Final = LauncherState.STALLED
KILLING: Final = LauncherState.KILLING
KEPT: Final = LauncherState.KEPT
DROPPED: Final = LauncherState.DROPPED
ABANDONED: Final = LauncherState.ABANDONED

MOVES: Final[Mapping[LauncherState, tuple[LauncherState, ...]]] = {
    BUILDING: (LAUNCHING, DROPPED, ABANDONED),
    LAUNCHING: (IDLE, KEPT, DROPPED, ABANDONED),
    IDLE: (POLLING, KILLING, DROPPED),
    POLLING: (IDLE, DROPPED, KILLING, STALLED, ABANDONED),
    STALLED: (IDLE, DROPPED, KILLING, ABANDONED),
    KILLING: (DROPPED, ABANDONED),
    KEPT: (LAUNCHING, DROPPED),
    DROPPED: (),
    ABANDONED: (),
}
"""From each state to those that may follow it, the frequent ones first."""


class Entry(Call):
    """A job and its launcher. The entry is itself the call that builds, launches and polls, one after the other.

    Only a kill is a call of its own, with the entry as subject: the queue from which the entry was taken back may still
    contain it.

    It is the record that the parts of the adapter share, because each of them has it for a while, in one state; and
    one object, call included, because all of it is renewed at each poll of each job.

    Args:
        job: the job, whose `data` becomes this entry.
        make: builds the launcher from the job's specification.
        build: the step that calls it.
    """

    __slots__ = ("failures", "job", "launcher", "make", "state")

    def __init__(self, job: LiveJob, make: Callable[[Specification], AnyLauncher], build: Step) -> None:
        self.job: LiveJob = job
        self.make: Final = make
        self.launcher: Any = None
        """Set by the first call, in the thread."""
        self.failures: int = 0
        """How many polls in a row have failed."""
        self.state: LauncherState = BUILDING
        """Written by `move` and `move_all` alone."""
        self.renew(build)
        job.data = self

    def __repr__(self) -> str:
        return f"job {self.job.id!r}"

    @property
    def subject(self) -> Entry:
        """Itself."""
        return self

    def move(self, state: LauncherState) -> None:
        """Go to another state.

        Raises:
            RuntimeError: if that is not in `MOVES`.
        """
        if state not in MOVES[self.state]:
            raise _illegal(self, state)
        self.state = state

    def take_launcher(self) -> AnyLauncher | None:
        """Return the launcher, and release the reference to it."""
        launcher: AnyLauncher | None = self.launcher
        self.launcher = None
        return launcher


def queue_all(entries: Collection[Entry], step: Step, state: LauncherState) -> None:
    """Make entries that have no other call calls of `step`, and move them to `state`, whose call that is.

    Raises:
        RuntimeError: if such a move is not in `MOVES`.
    """
    move_all(entries, state)
    renew_all(entries, step)


def move_all(entries: Iterable[Entry], state: LauncherState) -> None:
    """Call `Entry.move` of each; inlined, as each poll of each job gets here."""
    for entry in entries:
        if state not in MOVES[entry.state]:
            raise _illegal(entry, state)
        entry.state = state


def _illegal(entry: Entry, state: LauncherState) -> RuntimeError:
    return RuntimeError(f"the launcher of {entry!r} cannot go from {entry.state.name} to {state.name}")
