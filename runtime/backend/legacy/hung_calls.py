"""`HungCalls`: calls that do not return, each of which holds a thread. `StalledPolls`: those that are waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from runtime.backend.contract.control import Control
from runtime.backend.legacy.call_batches import LauncherWorkers, StalledCall
from runtime.backend.legacy.entry import STALLED, Entry
from runtime.errors import BackendBrokenError

MAX_HUNG: Final = 256
"""Threads that stalled and abandoned calls may hold; with more, the adapter is broken. Arbitrary: ten times as many can
exceed a user's limit on threads, with a tenth one slow file server would break a run that could go on."""


class HungCalls:
    """Bounds the threads that stalled and abandoned calls hold.

    Args:
        control: breaks the backend.
        workers: counts the threads.
    """

    def __init__(self, control: Control, workers: LauncherWorkers) -> None:
        self._control = control
        self._workers = workers

    def are_too_many(self) -> bool:
        """Return whether there are more than `MAX_HUNG`; then the backend is broken."""
        return self._workers.hung > MAX_HUNG

    def abandon(self, stalled: StalledCall) -> None:
        """Abandon a call that has stalled."""
        stalled.abandon()
        self.check()

    def check(self) -> None:
        """Break the backend if there are too many. Called after each call that has stalled."""
        if self.are_too_many():
            msg = (
                f"backend {self._control.name!r}: {self._workers.hung} calls of {self._workers.owner} do not return, "
                f"and each holds a thread; at most {MAX_HUNG} may"
            )
            self._control.break_backend(BackendBrokenError(msg))

    def notes(self) -> list[str]:
        """Name the abandoned calls that have not returned."""
        held = [f"{call.step.name} of {call.subject!r}" for call in self._workers.abandoned()]
        some = ", ".join(held[:10]) + (" and others" if len(held) > 10 else "")  # noqa: PLR2004 - enough
        note = f"backend {self._control.name!r}: {len(held)} abandoned threads are still in {some}"
        return [note] if held else []


class StalledPolls:
    """Polls that have stalled, for each of which a task waits until it is abandoned.

    Args:
        control: starts the tasks.
        timeout: seconds after which a stalled poll is abandoned.
        returned: called with an entry whose poll has returned.
        timed_out: called with a poll that has not returned in time.
    """

    def __init__(
        self,
        control: Control,
        timeout: float,
        returned: Callable[[Entry], None],
        timed_out: Callable[[StalledCall], None],
    ) -> None:
        self._control = control
        self._timeout = timeout
        self._returned = returned
        self._timed_out = timed_out
        self._calls: dict[Entry, StalledCall] = {}

    def add(self, entry: Entry, stalled: StalledCall) -> None:
        """Move `entry` to STALLED, and wait for its poll."""
        entry.move(STALLED)
        self._calls[entry] = stalled
        self._control.start_task(self._wait, entry, stalled)

    def give_up(self, entry: Entry) -> StalledCall | None:
        """Stop waiting for the poll of `entry`, and return it; `None` if it has returned, and its answer counts."""
        return None if self._calls[entry].has_returned() else self._calls.pop(entry)

    async def _wait(self, entry: Entry, stalled: StalledCall) -> None:
        try:
            with trio.move_on_after(self._timeout):
                await stalled.wait()
        except trio.Cancelled:
            stalled.abandon()  # the backend is closing: nothing reads the answer any more
            raise
        if self._calls.pop(entry, None) is None:
            return  # `give_up` was called meanwhile
        # Read only now: a call that returned just as the limit passed has its answer counted.
        if stalled.has_returned():
            self._returned(entry)
        else:
            self._timed_out(stalled)
