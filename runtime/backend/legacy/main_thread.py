"""`MainThread`: makes launchers' calls in the main thread of a process.

Some launchers need it: Python installs signal handlers in the main thread only (`signal.alarm` needs one), and asyncio
has no default event loop in any other thread. Isolated launchers (see `isolated`) are called in the main thread of
their process. In our own process that is not possible: its main thread runs the event loop.

A call that hangs in the main thread must not hold up the others. So if the main thread is busy, a call is made in
another thread, at once or after a while. If it fails there because it needs the main thread, it waits longer, and is
repeated: a poll or a kill. A call that may have started a job is never repeated; so a launch waits before it is made.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, NoReturn

from runtime.backend.legacy.call_batches import Call
from runtime.backend.legacy.failures import Failure

SHORT_WAIT: Final = 0.1
"""Seconds, counted from the start of the call in progress, that a poll or a kill waits for the main thread. Arbitrary:
ten times as long would delay polls behind one that hangs, a tenth would move many to other threads where polls are
slow."""

LONG_WAIT: Final = 10.0
"""The same for calls that cannot be repeated (building, launching), and for those that failed in another thread.
Arbitrary: ten times as long delays all launches behind one poll that hangs, once; a tenth fails them where polls are
slow."""

_LOST_WAKEUP: Final = 1.0
"""Seconds after which a thread that waits for a call checks its end itself: an exception from a signal handler may be
raised between the two statements that end a call and tell so. Arbitrary: it is how late such a call returns."""

_NEEDS_MAIN_THREAD: Final = re.compile(r"main thread|event loop in thread")


def needs_main_thread(failure: Failure | None) -> bool:
    """Return whether a call failed because it was not made in the main thread, by the texts of CPython and asyncio."""
    return failure is not None and _NEEDS_MAIN_THREAD.search(failure.why) is not None


def hint_of(failure: Failure | None) -> str:
    """Return advice for a call of our own process that needs the main thread; empty for any other failure."""
    if not needs_main_thread(failure):
        return ""
    return " (isolated=True calls launchers in the main thread of a process of their own)"


class MainThread:
    """Makes calls in the main thread, one at a time.

    Args:
        perform: makes a call in the current thread.
    """

    # A signal handler of a launcher may raise at any line of `run`, so no state is kept in local variables alone; and
    # at any line of what `run` calls, so both sides wake each other through a `SimpleQueue`, whose methods are one step
    # each. An `Event` is written in Python: an exception in the middle of it leaves its lock locked for ever.

    def __init__(self, perform: Callable[[Call], object]) -> None:
        self._perform = perform
        self._lock = threading.Lock()
        self._has_call = queue.SimpleQueue[None]()
        self._done = queue.SimpleQueue[None]()
        self._call: Call | None = None
        """The call to make, or in progress."""
        self._since: float | None = None
        """When the call in progress began."""

    def run(self) -> NoReturn:
        """Make calls, for ever. Called in the main thread."""
        while True:
            # A loop of its own inside: the interpreter looks for signals where a loop begins again.
            try:
                while True:
                    self._next()
            except BaseException:  # noqa: BLE001 - of a signal handler, between two calls; `suppress` is Python, too
                pass

    def _next(self) -> None:
        call = self._call
        if call is None:
            self._has_call.get()  # no call is missed: `do` sets `_call` before that
            return
        if call.begin():
            self._perform(call)
        if not call.has_returned:
            call.failure = Failure("a signal handler raised an exception before the call could begin")
        self._call = None  # `do` takes this as the end, and is woken
        self._done.put(None)

    def do(self, call: Call, timeout: float) -> bool:
        """Have `call` made in the main thread, and block until it has returned. Called in any other thread.

        Args:
            call: the call to make.
            timeout: seconds, counted from the start of the call in progress there, after which it is not waited for.

        Returns:
            False if the main thread did not become free in time: then the call was not made.
        """
        since = self._since  # read without the lock: if it is out of date, the wait is a little too long or too short
        if not self._lock.acquire(timeout=timeout if since is None else max(0.0, since + timeout - monotonic())):
            return False
        try:
            self._since = monotonic()
            with suppress(queue.Empty):
                while True:
                    self._done.get_nowait()  # of earlier calls
            self._call = call
            self._has_call.put(None)
            while self._call is call:
                with suppress(queue.Empty):
                    self._done.get(timeout=_LOST_WAKEUP)
        finally:
            self._since = None
            self._lock.release()
        return True
