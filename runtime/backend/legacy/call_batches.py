"""`Call`: one thing to do with one launcher. `LauncherThread`: makes calls, batch by batch.

Calls wait in queues that the event loop and the threads share. A `LauncherThread` makes one call at a time:
`LauncherThread.run` takes a *batch* from a queue, which is as many calls as begin within `BATCH_TIME` seconds. So one
hop to a thread and back is paid per batch, not per call.

::

    done, stalled = await thread.run(queue, deadline)      # calls that have not begun are still in the queue

`LauncherWorkers` makes launcher threads. Behind it are OS threads and wall time (`launcher_threads`), or, in tests,
virtual time and no thread (`runtime.testing.virtual`). The rest of the adapter depends on neither.

Which side owns a call
----------------------
A kill must overtake every call that has not begun, while a thread takes calls from the same queue. So each call has a
ticket, which only one side can take: the loop takes it to take the call back, the thread to begin the call. The side
that comes second leaves the call alone. Taking a ticket is deleting an attribute: the interpreter lets that succeed
only once, and it costs neither an object nor a lock per call.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import attrs

from runtime.backend.legacy.failures import Failure, failure_of

BATCH_TIME: Final = 0.005
"""Seconds during which a batch begins calls. Long compared with a hop to a thread (0.1 ms), short compared with a tick:
ten times as long would make launches and polls wait for each other, a tenth would pay a hop for every few calls."""


PENDING: Final = object()
"""The value of a call that has not returned."""


@attrs.frozen
class Step:
    """A kind of call."""

    name: str
    """Its name in messages, such as ``poll()``."""
    function: Callable[[Any], object]
    """Does it, given the call. Runs in a thread, may block, may raise anything."""
    undo: Callable[[Call], None] | None = None
    """Called in the thread if the call returns after it was abandoned. May block, may raise."""


class Call:
    """One step to do with one subject, and its result. When it has returned, `renew` makes it another call."""

    __slots__ = ("failure", "step", "subject", "ticket", "value")

    def __init__(self, step: Step, subject: object) -> None:
        self.subject: Any = subject
        """What it is about, for messages; two calls with the same subject are never in progress at once."""
        self.renew(step)

    def renew(self, step: Step) -> None:
        """Become a new call, with another step and the same subject. The old one must not be in use any more."""
        self.step: Step = step
        self.value: object = PENDING
        """What was returned."""
        self.failure: Failure | None = None
        """What was raised. The exception itself stays in the thread that caught it: see `failures`."""
        self.ticket: None = None

    def __repr__(self) -> str:
        return f"<Call {self.step.name} of {self.subject!r}>"

    @property
    def has_returned(self) -> bool:
        """Whether it has returned, or raised."""
        return self.failure is not None or self.value is not PENDING

    @property
    def is_pending(self) -> bool:
        """Whether it has neither begun nor been taken back."""
        return hasattr(self, "ticket")

    def begin(self) -> bool:
        """Take the ticket in order to make the call; return false if the call was taken back."""
        try:
            del self.ticket  # atomic under the interpreter's lock: of two threads, one gets the AttributeError
        except AttributeError:
            return False
        return True

    take_back = begin
    """Take the ticket so that the call is never made; return false if it has begun or returned."""

    def perform(self) -> None:
        """Make the call in this thread. Raises nothing, not even `SystemExit`: that is a failure of the launcher."""
        try:
            self.value = self.step.function(self)
        except BaseException as exc:  # noqa: BLE001 - foreign code, and what it raises is data
            self.failure = failure_of(exc)


C = TypeVar("C", bound=Call)


def renew_all(calls: Iterable[Call], step: Step) -> None:
    """Call `Call.renew` of each; inlined, as each poll of each job gets here."""
    for call in calls:
        call.step = step
        call.value = PENDING
        call.failure = None
        call.ticket = None


class StalledCall(abc.ABC):
    """A call in progress that has passed its deadline, and the thread that it holds.

    Its answer still counts, until the call is *abandoned*: if it returns after that, its thread calls the step's
    `undo`, even if the event loop has ended.
    """

    call: Call

    @abc.abstractmethod
    def has_returned(self) -> bool:
        """Return whether the call has returned, and the loop can read its result."""

    @abc.abstractmethod
    async def wait(self) -> None:
        """Wait until the call has returned."""

    @abc.abstractmethod
    def abandon(self) -> None:
        """Give it up. It must not have returned."""


class LauncherThread(abc.ABC):
    """Makes calls, one at a time, in one thread; after a stalled call, in a new one."""

    @abc.abstractmethod
    async def run(self, calls: deque[C], deadline: float) -> tuple[list[C], StalledCall | None]:
        """Make a batch of `calls`, from the left.

        Args:
            calls: the queue of calls. Those that have not begun stay in it; those that were taken back are removed.
            deadline: seconds after which a call counts as stalled; `math.inf` for never.

        Returns:
            The calls that have returned, in order; and the stalled one, which ends the batch, or `None`.

        If it is cancelled, the batch ends after the call in progress, and the whole batch is abandoned.
        """

    @abc.abstractmethod
    def abandon(self, call: Call) -> None:
        """Stop waiting for `call`, which then counts as stalled. Does nothing if it is not in progress."""


class LauncherWorkers(abc.ABC):
    """Makes launcher threads, and counts the threads that calls hold."""

    owner = ""
    """The name of the launchers' class, for messages."""

    @abc.abstractmethod
    def launcher_thread(self, name: str) -> LauncherThread:
        """Make a launcher thread. It starts no thread before its first run."""

    @property
    @abc.abstractmethod
    def hung(self) -> int:
        """How many threads are held by stalled or abandoned calls that have not returned."""

    @abc.abstractmethod
    def abandoned(self) -> list[Call]:
        """Return the abandoned calls that have not returned."""

    @abc.abstractmethod
    def close(self) -> None:
        """End all threads. No launcher thread may be running."""
