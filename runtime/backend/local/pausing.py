"""`Pauser`: all jobs of a backend are stopped for a while, together with the program that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from runtime.backend.contract.deadlines import Deadlines
from runtime.process import ProcessTree
from runtime.process.start_registry import StartRegistry


class Pauser:
    """See `LocalBackend.pause`.

    Args:
        deadlines: those of the jobs; suspended during a pause.
        starts: the trees that this process starts.
        contained: returns the trees that shims start.
    """

    def __init__(
        self, deadlines: Deadlines, starts: StartRegistry, contained: Callable[[], Iterable[ProcessTree]]
    ) -> None:
        self._deadlines = deadlines
        self._starts = starts
        self._contained = contained
        self._paused_at: float | None = None
        """Since when the jobs are paused, in seconds of the event loop's clock; `None` if they are not."""
        self._unpaused = trio.Event()

    def pause(self) -> None:
        """Stop all processes of all jobs. Idempotent."""
        if self._paused_at is None:
            self._paused_at = trio.current_time()
            self._unpaused = trio.Event()
            self._deadlines.hold()
            for tree in [*self._starts.pause(), *self._contained()]:
                tree.pause()

    def unpause(self) -> None:
        """Continue them. Idempotent."""
        if self._paused_at is not None:
            seconds, self._paused_at = trio.current_time() - self._paused_at, None
            self._deadlines.release(seconds)
            for tree in [*self._starts.unpause(), *self._contained()]:
                tree.unpause(seconds)
            self._unpaused.set()

    async def wait_unpaused(self) -> None:
        """Wait until jobs may be started: one that is started now would run while the runtime is stopped."""
        if self._paused_at is not None:
            await self._unpaused.wait()

    def close(self) -> None:
        """Let the threads end that wait to start a process."""
        self._starts.unpause()
