"""What is done in a thread, how much of it at once, and the seam through which it is done.

A `Call` is one thing to do with one launcher. Calls wait in queues that the event loop and the threads share. A
`LauncherThread` does one call at a time: `LauncherThread.run` takes a *slice* from a queue, which is as many calls as
begin within `SLICE` seconds, and a hop to a thread and back is paid once for all of them.

::

    done, late = await lane.run(queue, deadline)      # what was not begun is still in the queue

This is the seam: behind it are threads and wall time (`threads`), or, in tests, virtual time and no thread at all.
Nothing else of the adapter knows of either.

Who owns a call
---------------
A kill must overtake every call that has not begun, while a thread takes calls from the same queue. So each call has a
ticket: whoever draws it decides. The loop draws it to take the call back, the lane draws it to begin; who comes second
leaves the call alone. To draw it is to delete an attribute: the interpreter lets that succeed once, and it costs
neither an object nor a lock for each call.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs

from runtime.backend.legacy.failures import Failure, failure_of

SLICE: Final = 0.005
"""Seconds for which a lane begins calls before it reports. Long against a hop of 0.1 ms, short against a tick."""


_PENDING: Final = object()


@attrs.frozen
class Step:
    """A kind of call."""

    name: str
    """What it is called in messages: ``poll()``, say."""
    function: Callable[[Any], Any]
    """What does it, given the call's subject. Runs in a thread, may block, may raise anything."""
    undo: Callable[[Call], None] | None = None
    """What the thread does if the call returns after it was abandoned. May block, may raise."""


class Call:
    """One step to do with one subject, and what came of it. When it has returned, it can be used for another step."""

    __slots__ = ("_ticket", "failure", "given_up", "step", "subject", "value")

    def __init__(self, step: Step, subject: Any) -> None:
        self.subject = subject
        """What the step is done with; two calls with one subject are never in progress at once."""
        self.renew(step)

    def renew(self, step: Step) -> None:
        """Be a new call, with another step and the same subject. Nobody may hold it as the old one any more."""
        self.step = step
        self.value: Any = _PENDING
        """What was returned."""
        self.failure: Failure | None = None
        """What was raised. The exception itself goes where it was caught: see `failures`."""
        self.given_up = False
        """Whether its lane should no longer wait for it. Set by the loop, which then calls `LauncherThread.hurry`."""
        self._ticket = None

    def __repr__(self) -> str:
        return f"<Call {self.step.name} of {self.subject!r}>"

    @property
    def has_returned(self) -> bool:
        """Whether it has returned, or raised."""
        return self.failure is not None or self.value is not _PENDING

    @property
    def is_pending(self) -> bool:
        """Whether it has neither begun nor been taken back."""
        return hasattr(self, "_ticket")

    def begin(self) -> bool:
        """Draw the ticket in order to do the call; false if it was taken back."""
        try:
            del self._ticket
        except AttributeError:
            return False
        return True

    take_back = begin
    """Draw the ticket in order that nobody does the call; false if it has begun, or is over."""

    def perform(self) -> None:
        """Do it, here and now. Raises nothing, not even `SystemExit`: that is the launcher's own."""
        try:
            self.value = self.step.function(self.subject)
        except BaseException as exc:  # noqa: BLE001 - foreign code, and what it raises is data
            self.failure = failure_of(exc)


class Late(abc.ABC):
    """A call in progress for which its lane no longer waits, and the thread that it holds.

    It has been *set aside*: its answer counts if it comes in time. Then it is *abandoned*: if it returns after all, the
    thread that made it does the step's `undo`, even when the event loop has ended by then.
    """

    call: Call

    @abc.abstractmethod
    def has_returned(self) -> bool:
        """Whether the call's outcome is there."""

    @abc.abstractmethod
    async def wait(self) -> None:
        """Wait until the call has returned."""

    @abc.abstractmethod
    def abandon(self) -> None:
        """Wait for it no longer. It must not have returned."""


class LauncherThread(abc.ABC):
    """Does calls, one at a time, in one thread; in another one after a call was set aside."""

    @abc.abstractmethod
    async def run(self, calls: deque[Any], deadline: float) -> tuple[list[Any], Late | None]:
        """Do a slice of `calls`, from the left.

        Args:
            calls: the queue, of `Call` or a class of such. What was not begun stays there; what was taken back is
                dropped.
            deadline: seconds after whose passing a call is set aside; `math.inf` for never.

        Returns:
            The calls that have returned, in order; and the one that was set aside, after which the slice ends.

        If it is cancelled, the slice ends after the call in progress, and that is abandoned.
        """

    @abc.abstractmethod
    def hurry(self) -> None:
        """Look again whether the call in progress was given up."""


class Seam(abc.ABC):
    """Where lanes come from, and what they leave behind."""

    owner = ""
    """The class of the launchers that are called, for messages."""

    @abc.abstractmethod
    def lane(self, name: str) -> LauncherThread:
        """Make a lane. It acquires nothing before its first run."""

    @property
    @abc.abstractmethod
    def hung(self) -> int:
        """How many threads are held by calls that were set aside or abandoned, and have not returned."""

    @abc.abstractmethod
    def abandoned(self) -> list[Call]:
        """Return the abandoned calls that have not returned."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the threads of all lanes, none of which may be running."""
