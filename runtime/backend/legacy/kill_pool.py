"""`KillPool`: kills launchers in threads of its own, so that a kill waits neither for polls nor for other kills."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from runtime.backend.contract.control import Control
from runtime.backend.legacy.call_batches import Call, LauncherThread, StalledCall, Step
from runtime.backend.legacy.entry import KILLING, Entry
from runtime.backend.legacy.hung_calls import HungCalls


@attrs.define(eq=False)
class KillPool:
    """A queue of kills, and the threads that make them."""

    _control: Control
    """Starts the tasks."""
    _make_thread: Callable[[str], LauncherThread]
    """Makes a launcher thread, given its name."""
    _hung: HungCalls
    """Counts the threads that calls hold."""
    _most: float
    """How many launchers are killed concurrently; `math.inf` for no limit."""
    _deadline: float
    """Seconds that a kill may take; `math.inf` for no limit."""
    _returned: Callable[[list[Call]], None]
    """Called with kills that have returned, in order."""
    _stalled: Callable[[StalledCall], None]
    """Called with each kill that has passed its deadline."""
    _queue: deque[Call] = attrs.field(factory=deque, init=False)
    _open: int = attrs.field(default=0, init=False)
    """How many kills are queued or in progress."""
    _tasks: int = attrs.field(default=0, init=False)
    """How many tasks make kills, each with a thread."""
    _idle: list[LauncherThread] = attrs.field(factory=list, init=False)

    def add(self, entry: Entry, step: Step) -> None:
        """Move `entry` to KILLING, and queue the kill `step` of its launcher."""
        entry.move(KILLING)
        self._queue.append(Call(step, entry))
        self._open += 1
        self._start_task()

    def take_queued(self) -> list[Entry]:
        """Remove all kills that have not begun; return their entries."""
        entries = [call.subject for call in self._queue]
        self._queue.clear()
        return entries

    def _start_task(self) -> None:
        # Never more tasks than kills: `_open` also counts those in progress, each of which occupies a task.
        if self._queue and self._tasks < min(self._most, self._open):
            self._tasks += 1
            self._control.start_task(self._run)

    async def _run(self) -> None:
        thread = self._idle.pop() if self._idle else self._make_thread(f"{self._control.name}.kill.{self._tasks}")
        try:
            while self._queue and not self._hung.are_too_many():
                # Each task starts the next one: to start 64 threads in one step would hold up the event loop.
                self._start_task()
                done, stalled = await thread.run(self._queue, self._deadline)
                self._open -= len(done) + (stalled is not None)
                self._returned(done)
                if stalled is not None:
                    self._stalled(stalled)
        finally:
            self._tasks -= 1
            self._idle.append(thread)
