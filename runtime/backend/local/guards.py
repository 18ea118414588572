"""`Guards`: the supervisors of a backend, which contain its jobs, and the witness of standstills."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import trio

from runtime.backend.contract.control import Control
from runtime.backend.local.launch import LaunchContext
from runtime.backend.local.standstill_watch import TICK
from runtime.process import ProcessTree

if TYPE_CHECKING:  # not available on every system
    from runtime.process.shim import Shim
    from runtime.process.supervisors import Supervisors

logger: Final = logging.getLogger("runtime.backend.local")


class Guards:
    """Starts supervisors when they are needed, and ends them.

    Args:
        control: runs their tasks.
        context: what jobs inherit, and where they have files.
        limiter: for the thread that starts a supervisor.
    """

    def __init__(self, control: Control, context: LaunchContext, limiter: trio.CapacityLimiter) -> None:
        self._control = control
        self._context = context
        self._limiter = limiter
        self._lock = trio.Lock()
        self.supervisors: Supervisors | None = None
        """Those that contain jobs; `None` until there is a contained job."""
        self._witness: Supervisors | None = None
        """Those that report when no process of ours ran: those of the jobs, if they were started first."""
        self.note_standstill: Callable[[float, float], object] | None = None
        """Called with begin and end of a time in which the witness did not run, in seconds of `time.monotonic`."""

    async def start(self) -> None:
        """Start the supervisors of contained jobs; they also are the witness.

        Raises:
            OSError: if that fails.
        """
        self.supervisors = self._witness = await self._start_supervisors(self.note_standstill)

    async def _start_supervisors(self, note_standstill: Callable[[float, float], object] | None) -> Supervisors:
        from runtime.process.supervisors import Supervisors

        environments, timeout = self._context.environments, self._context.options.timeouts.kill
        roots = self._context.roots.descriptors
        supervisors = Supervisors(environments.inherited, timeout, self._limiter, environments.shared_dump, roots)
        supervisors.note_standstill = note_standstill
        await supervisors.start()
        return supervisors

    async def run(self) -> None:
        """Serve the supervisors that `start` has started; if it was not called, start and serve a witness."""
        if self.supervisors is not None:
            await self.supervisors.run()
            return
        await trio.sleep(TICK)  # a run that ends before needs no witness
        try:
            # An import needs a descriptor, too.
            from runtime.process.supervisors import Supervisors

            witness = Supervisors({}, self._context.options.timeouts.kill, self._limiter)
            witness.note_standstill = self.note_standstill
            await witness.start()
        except OSError as exc:
            name = self._control.name
            logger.info("backend %r: time in which all stand still will count as time of its jobs: %s", name, exc)
            return
        self._witness = witness
        await witness.run()

    async def take(self, count: int) -> tuple[list[Shim], OSError | None]:
        """Return up to `count` idle shims and, if they are fewer, perhaps why."""
        if self.supervisors is None:  # the first job with containment "tree" of a backend with "group"
            async with self._lock:
                if self.supervisors is None:  # another launch may have started them while this one waited for the lock
                    try:
                        self.supervisors = await self._start_supervisors(None)  # there is another witness
                    except OSError as exc:
                        return [], exc
                    self._control.start_task(self.supervisors.run)
        return await self.supervisors.take(count)

    def trees(self) -> Iterable[ProcessTree]:
        """Return the trees of contained jobs, including those that are being handed over to a shim."""
        return () if self.supervisors is None else self.supervisors.trees()

    async def flush(self) -> None:
        """Wait until a report of the witness has arrived, if one is due."""
        if self._witness is not None:
            await self._witness.flush()

    async def aclose(self) -> None:
        """End all supervisors."""
        if self._witness is not None and self._witness is not self.supervisors:
            await self._witness.aclose()
        if self.supervisors is not None:
            await self.supervisors.aclose()
