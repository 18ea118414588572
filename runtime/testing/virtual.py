"""`VirtualAdapter`: the adapter for legacy launchers in virtual time, without a thread.

A scripted launcher calls `spend` to set the duration of a call, or `Gate.wait` to block it until a gate is opened. With
a real adapter this blocks the thread. With a `VirtualAdapter` the call is made in the event loop, without blocking, and
its outcome is delivered when that time has passed on trio's clock. Under a mock clock a regression of hours takes no
time, and happens in the same order every time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final

import outcome
import trio

from runtime.backend.legacy.adapter import LegacyLauncherAdapter
from runtime.backend.legacy.call_batches import BATCH_TIME, C, Call, LauncherThread, LauncherWorkers, StalledCall

_recorder: Final = threading.local()
"""Its attribute `waits`, while a virtual thread makes a call: the durations and gates for which the call waits."""


def spend(seconds: float) -> None:
    """Let the call in progress take a number of seconds, in virtual or in real time."""
    waits = getattr(_recorder, "waits", None)
    if waits is None:
        time.sleep(seconds)
    else:
        waits.append(seconds)


class Gate:
    """Blocks calls until it is opened in the thread of the event loop."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._waiting: list[trio.Event] = []

    def wait(self) -> None:
        """Block the call in progress. For launchers."""
        waits = getattr(_recorder, "waits", None)
        if waits is None:
            self._open.wait()
        else:
            waits.append(self)

    def open(self) -> None:
        """Let all calls pass, also later ones."""
        self._open.set()
        for event in self._waiting:
            event.set()

    async def wait_open(self) -> None:
        """Wait until the gate is open. For tasks."""
        if not self._open.is_set():
            self._waiting.append(trio.Event())
            await self._waiting[-1].wait()


class VirtualWorkers(LauncherWorkers):
    """Makes launcher threads without OS threads. It also checks that no launcher has two calls at once."""

    def __init__(self) -> None:
        self.held: set[_VirtualCall] = set()
        self.in_progress: set[int] = set()

    def launcher_thread(self, name: str) -> LauncherThread:
        """Make a launcher thread."""
        return _VirtualThread(self)

    @property
    def hung(self) -> int:
        """The number of calls that would hold a thread."""
        return len(self.held)

    def abandoned(self) -> list[Call]:
        """Return the abandoned calls that have not returned."""
        return [progress.call for progress in self.held if progress.is_abandoned]

    def close(self) -> None:
        """Do nothing; there are no threads."""


class VirtualAdapter(LegacyLauncherAdapter):
    """A `LegacyLauncherAdapter` whose calls take virtual time."""

    workers_factory: ClassVar[Callable[[], LauncherWorkers]] = VirtualWorkers


class _VirtualCall(StalledCall):
    """A call in progress."""

    def __init__(self, workers: VirtualWorkers, call: Call) -> None:
        self.call = call
        self.is_abandoned = False
        self._workers = workers
        self._returned = trio.Event()
        if id(call.subject) in workers.in_progress:
            raise AssertionError(f"{call} began while another call of {call.subject} was in progress")
        waits = _record(call.perform)
        if waits:
            workers.in_progress.add(id(call.subject))
            trio.lowlevel.spawn_system_task(self._return_after, waits)
        else:
            self._returned.set()

    async def _return_after(self, waits: list[float | Gate]) -> None:
        await _take(waits)
        self._workers.in_progress.discard(id(self.call.subject))
        self._returned.set()
        if self in self._workers.held:
            self._workers.held.discard(self)
            if self.is_abandoned and self.call.step.undo is not None:
                undo = self.call.step.undo
                await _take(
                    _record(lambda: outcome.capture(undo, self.call))
                )  # what it raises is only logged by threads

    def has_returned(self) -> bool:
        return self._returned.is_set()

    async def wait(self) -> None:
        await self._returned.wait()

    def abandon(self) -> None:
        self.is_abandoned = True


class _VirtualThread(LauncherThread):
    def __init__(self, workers: VirtualWorkers) -> None:
        self._workers = workers
        self._given_up: Call | None = None
        """The call that is not waited for any longer."""
        self._waiting = trio.CancelScope()

    async def run(self, calls: deque[C], deadline: float) -> tuple[list[C], StalledCall | None]:
        await trio.lowlevel.checkpoint()
        done: list[C] = []
        ends = trio.current_time() + BATCH_TIME
        while calls:
            call = calls.popleft()
            if not call.begin():
                continue
            if await self._do(progress := _VirtualCall(self._workers, call), deadline):
                done.append(call)
            else:
                self._workers.held.add(progress)
                return done, progress
            if trio.current_time() >= ends:
                break
        return done, None

    async def _do(self, progress: _VirtualCall, deadline: float) -> bool:
        ends = trio.current_time() + deadline
        try:
            while not progress.has_returned():
                if progress.call is self._given_up or trio.current_time() >= ends:
                    return False
                with trio.move_on_at(ends) as self._waiting:
                    await progress.wait()
        except trio.Cancelled:
            self._workers.held.add(progress)
            progress.abandon()
            raise
        return True

    def abandon(self, call: Call) -> None:
        self._given_up = call
        self._waiting.cancel()


def _record(work: Callable[[], object]) -> list[float | Gate]:
    """Do `work`, and return what it says that it waits for."""
    waits: list[float | Gate] = []
    _recorder.waits = waits
    try:
        work()
    finally:
        _recorder.waits = None
    return waits


async def _take(waits: list[float | Gate]) -> None:
    for wait in waits:
        if isinstance(wait, Gate):
            await wait.wait_open()
        else:
            await trio.sleep(wait)
