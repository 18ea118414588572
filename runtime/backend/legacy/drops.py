"""`Drops`: drops launchers in the launcher thread, as dropping the last reference to one runs its `__del__`.

So the event loop never drops one. It queues the launchers of jobs that have ended, and one `DROP` drops many of them.
The thread of an abandoned call drops the launcher itself when the call returns.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from os import getpid
from time import monotonic
from typing import Final

import trio

from runtime.backend.contract.control import Control
from runtime.backend.legacy.call_batches import BATCH_TIME, Call, Step
from runtime.backend.legacy.entry import DROPPED, Entry
from runtime.backend.legacy.isolated import LauncherProxy
from runtime.backend.legacy.shared_thread import SharedThread

LAST_DROPS_TIMEOUT: Final = 1.0
"""Seconds that closing the backend waits for `__del__` of the last launchers. Arbitrary: ten times as long would delay
the end of a run behind one bad `__del__`, with a tenth healthy ones would run on in a daemon thread."""


DELAY: Final = 0.05
"""Seconds that a launcher waits for others that are dropped with it. Each hop to the thread may cost as long as the
interpreter lets one thread run, 5 ms, and ten times shorter would save few hops; ten times longer would hold the
launchers of some ten thousand quick jobs."""


class Drops:
    """The launchers that are to be dropped.

    Args:
        control: starts the task that has them dropped.
        thread: where they are dropped.
        stall_timeout: seconds after which a `__del__` no longer delays other calls.
    """

    def __init__(self, control: Control, thread: SharedThread, stall_timeout: float) -> None:
        self._control = control
        self._thread = thread
        self._stall_timeout = stall_timeout
        self._launchers: deque[object] = deque()
        """Each with its last reference."""
        self._has_task = False

    def add(self, entry: Entry) -> None:
        """Move `entry` to DROPPED, and drop its launcher. Does nothing if it was dropped before."""
        if entry.state is DROPPED:
            return
        entry.move(DROPPED)
        if entry.launcher.__class__ is LauncherProxy:
            entry.launcher = None  # the proxy is our own class, and its `__del__` does not block
        elif entry.launcher is not None:
            # Only as an argument: a variable here could hold the last reference, if the thread is quicker.
            self._launchers.append(entry.take_launcher())
            if not self._has_task:
                self._has_task = True
                self._control.start_task(self._run)

    async def finish(self, entries: Iterable[Entry]) -> None:
        """Drop the last `entries`, and all that are left. Takes at most `LAST_DROPS_TIMEOUT` seconds."""
        self._has_task = True  # the backend runs no tasks any more: this one does it
        for entry in entries:
            self.add(entry)
        with trio.move_on_after(LAST_DROPS_TIMEOUT):
            await self._drop_all()
        if self._launchers:  # a daemon thread, so that a `__del__` that hangs does not delay the end of the program
            name = f"{self._control.name}.drops"
            threading.Thread(target=_drop_all, args=[self._launchers], name=name, daemon=True).start()

    async def _run(self) -> None:
        try:
            await trio.sleep(DELAY)
            await self._drop_all()
        finally:
            self._has_task = False

    async def _drop_all(self) -> None:
        while self._launchers:
            calls = deque([Call(DROP, Dropping(self._launchers))])
            await self._thread.run(calls, self._stall_timeout, _ignore)


class Dropping:
    """The subject of a `DROP`: a queue of launchers to drop.

    If a `__del__` hangs, the next `DROP` goes on with the same queue; if the first one returns after all, it does, too.
    """

    __slots__ = ("_launchers",)

    def __init__(self, launchers: deque[object]) -> None:
        self._launchers = launchers

    def __repr__(self) -> str:
        return "a launcher whose job has ended"

    def drop(self) -> None:
        """Drop launchers for `BATCH_TIME` seconds, or until none is left. Blocks as long as a `__del__` does."""
        launchers, home, end = self._launchers, getpid(), monotonic() + BATCH_TIME
        with suppress(IndexError):  # `popleft` of an empty queue
            while True:
                launchers.popleft()  # the result is not assigned, so this runs `__del__`
                if getpid() != home or monotonic() >= end:  # another pid: a `__del__` has forked, this is the child
                    return


DROP: Final = Step("__del__()", lambda call: call.subject.drop())


def _drop_all(launchers: deque[object]) -> None:
    while launchers:
        Dropping(launchers).drop()


def _ignore(_calls: list[Call]) -> None:
    """`__del__` has no answer."""
