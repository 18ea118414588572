"""The main thread of a process, for launchers that want it: `signal.alarm`, handlers of signals, asyncio's loop.

Python installs handlers of signals in the main thread alone, and gives no other thread an event loop of asyncio by
itself. In a process of their own (`isolated`) launchers are called there. In our process they are not: its main thread
has the event loop.

A call that hangs there must not cost the others anything. So who finds the main thread in a call makes its own in
another thread, at once or after a while, and only what fails there for want of the main thread waits longer, and is
done again: a poll, and a kill. What may have begun a job is never done again; so a launch waits before it is made.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, NoReturn

from runtime.backend.legacy.call_batches import Call
from runtime.backend.legacy.failures import Failure

SHORT: Final = 0.1
"""Seconds that a call may have been in progress in the main thread for a poll or a kill to wait for its end. Arbitrary:
long against any healthy call; what comes later than that waits no longer for a call that hangs."""

LONG: Final = 10.0
"""The same for what cannot be done again: building, launching, and what has failed elsewhere. Arbitrary: ten times as
long holds up all launches behind one poll that hangs, once; a tenth fails them where polls are slow."""

_LOST_WAKEUP: Final = 1.0
"""Seconds after which somebody who waits for a call looks by himself. An exception out of a handler may strike between
the two statements that end a call and say so."""

_WANT: Final = re.compile(r"main thread|event loop in thread")


def wants_main_thread(failure: Failure | None) -> bool:
    """Whether a call failed because it was made in another thread than the main one. As CPython and asyncio say it."""
    return failure is not None and _WANT.search(failure.why) is not None


def hint_of(failure: Failure | None) -> str:
    """Return what to do about a call that failed so in a process whose main thread is not to be had, or nothing."""
    if not wants_main_thread(failure):
        return ""
    return " (isolated=True calls launchers in the main thread of a process of their own)"


class MainThread:
    """Makes calls in the main thread, one at a time.

    Args:
        perform: makes a call, here and now.
    """

    # What a launcher has installed may raise at any line of `run`: so the state is never on the stack alone.

    def __init__(self, perform: Callable[[Call], object]) -> None:
        self._perform = perform
        self._turn = threading.Lock()
        self._wanted = threading.Event()
        self._done = threading.Event()
        self._call: Call | None = None
        """What is to be done, or is being done."""
        self._since: float | None = None
        """When the call in progress began."""

    def run(self) -> NoReturn:
        """Make calls, for ever. To be called in the main thread."""
        while True:
            with suppress(BaseException):  # out of a handler that a launcher installed, between two calls
                self._next()

    def _next(self) -> None:
        call = self._call
        if call is None:
            self._wanted.wait()
            self._wanted.clear()  # whoever sets it has set `_call` before
            return
        if call.begin():
            self._perform(call)
        if not call.has_returned:
            call.failure = Failure("an exception struck before the call could begin")
        self._call = None
        self._done.set()

    def do(self, call: Call, patience: float) -> bool:
        """Have `call` made in the main thread. Blocks until it has returned. From any other thread.

        Args:
            call: what to do.
            patience: seconds that the call in progress there may have taken, after which it is not waited for.

        Returns:
            False if the main thread did not come free in time: then nothing was done.
        """
        since = self._since
        if not self._turn.acquire(timeout=patience if since is None else max(0.0, since + patience - monotonic())):
            return False
        try:
            self._since = monotonic()
            self._done.clear()
            self._call = call
            self._wanted.set()
            while not self._done.wait(_LOST_WAKEUP) and self._call is call:
                pass
        finally:
            self._since = None
            self._turn.release()
        return True
