"""`Supervisors`: the supervisors of a backend, of which one gets the new jobs.

If that is killed, its shims kill their jobs and report that; the next job gets a new supervisor. A supervisor that is
out of memory, because a limit of its own was lowered or reached, is alive but of no use: everything that it forks
inherits the limit. It is *retired*: its jobs go on, new jobs get another supervisor, and it ends with its last job.
"""

from __future__ import annotations

import errno
import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from runtime.descriptors import Descriptor
from runtime.helper.process import HelperProcess
from runtime.process.shim import Shim, Tree
from runtime.process.supervisor import Supervisor
from runtime.process.threads import in_background, in_thread

logger: Final = logging.getLogger("runtime.process.supervisor")

_MAX_ENOMEM: Final = 3
"""New shims in a row that were out of memory, before the next job gets another supervisor. Arbitrary: as many jobs are
refused as busy until then; with one, a single large job would replace it."""

_RENEWAL_INTERVAL: Final = 5.0
"""Seconds between two supervisors, the first of which was out of memory: perhaps the whole system is. Arbitrary: ten
times shorter would add to the load of a system without memory, ten times longer would delay the jobs."""

_END_MARGIN: Final = 3.0
"""Seconds beyond the SIGKILL timeout that the supervisor may take to end. Arbitrary: it has to reap and exit only; if
one is stuck, the backend closes later by as much."""


class _Start:
    """The start of a supervisor in a thread, which can be abandoned at any time.

    Args:
        start: as `Supervisor.start`, with all arguments but `note`.
    """

    def __init__(self, start: Callable[..., Supervisor]) -> None:
        self._start = start
        self._token = trio.lowlevel.current_trio_token()
        self._lock = threading.Lock()
        self._begun = False
        self._abandoned = False
        self._helper: HelperProcess | None = None
        self._supervisor: Supervisor | None = None
        self._ended = trio.Event()

    def run(self) -> Supervisor:
        """Return the supervisor. Blocks. Raises what `Supervisor.start` raises; no process is left then."""
        try:
            with self._lock:
                self._begun = True
                self._raise_if_abandoned()
            supervisor = self._start(note=self._note)
            with self._lock:
                if not self._abandoned:
                    self._supervisor = supervisor
                    return supervisor
            supervisor.destroy()
            raise _abandoned_error()
        finally:
            self._set_ended()

    def _note(self, helper: HelperProcess) -> None:
        with self._lock:
            self._raise_if_abandoned()
            self._helper = helper

    def _raise_if_abandoned(self) -> None:
        if self._abandoned:
            raise _abandoned_error()

    async def abandon(self) -> None:
        """End what was started; wait for that, shielded, for at most `_END_MARGIN` seconds."""
        with self._lock:
            self._abandoned = True
            supervisor, helper, begun = self._supervisor, self._helper, self._begun
            if helper is not None and supervisor is None:
                helper.kill()  # the thread that waits for its hello notices that, and reaps it
        if supervisor is not None:  # it was started just when the call was cancelled
            self._ended = trio.Event()
            in_background(partial(self._destroy, supervisor))
        if begun:
            with trio.move_on_after(_END_MARGIN, shield=True):
                await self._ended.wait()

    def _destroy(self, supervisor: Supervisor) -> None:
        supervisor.destroy()
        self._set_ended()

    def _set_ended(self) -> None:
        with suppress(trio.RunFinishedError):
            # If the event loop has ended, no task waits.
            self._token.run_sync_soon(self._ended.set)


def _abandoned_error() -> OSError:
    return OSError(errno.ECANCELED, "the start of the supervisor of processes was cancelled")


class Supervisors:
    """A supervisor, which is replaced by a new one when it was killed or is out of memory.

    Args:
        environment: what all jobs inherit.
        kill_timeout: seconds that processes may take to die after SIGKILL; `None` for no limit.
        limiter: for the thread that starts a supervisor.
        dump: the content of the environment file of a job that adds nothing to `environment`.
        roots: descriptors of the directories below which jobs have files, in the order of their numbers; they stay open
            until the end.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        kill_timeout: float | None,
        limiter: trio.CapacityLimiter,
        dump: bytes = b"",
        roots: Sequence[Descriptor] = (),
    ) -> None:
        self._kill_timeout = math.inf if kill_timeout is None else kill_timeout
        self._start_one = partial(
            Supervisor.start, environment, kill_timeout=self._kill_timeout, dump=dump, roots=roots
        )
        self._limiter = limiter
        self._lock = trio.Lock()
        self._all: list[Supervisor] = []
        self._nursery: trio.Nursery | None = None
        self.note_standstill: Callable[[float, float], object] | None = None
        """As `Heartbeat.note_standstill`; called for the current one."""
        self._renewed = -math.inf
        """When the current supervisor was started, seconds of trio's clock."""

    @property
    def current(self) -> Supervisor:
        """The supervisor that gets the next job."""
        return self._all[-1]

    async def start(self) -> None:
        """Start the first one. If this is cancelled, no process is left, unless it takes seconds to die.

        Raises:
            OSError: if it cannot be started.
        """
        start = _Start(self._start_one)
        try:
            supervisor = await in_thread(start.run, limiter=self._limiter, wait_for_thread=False)
        except trio.Cancelled:
            await start.abandon()
            raise
        if self._all:
            self.current.heartbeat.note_standstill = None  # two of them would report each standstill twice
        supervisor.heartbeat.note_standstill = self.note_standstill
        self._all.append(supervisor)
        self._renewed = trio.current_time()

    async def run(self) -> None:
        """Serve all supervisors. Never returns."""
        async with trio.open_nursery() as self._nursery:
            for supervisor in self._all:
                self._nursery.start_soon(supervisor.serve)
            await trio.sleep_forever()

    async def take(self, count: int) -> tuple[list[Shim], OSError | None]:
        """As `ShimPool.take`."""
        if self._is_unusable(self.current):
            async with self._lock:
                error = await self._renew()
            if error is not None:
                return [], error
        return await self.current.pool.take(count)

    async def _renew(self) -> OSError | None:
        """Start a new supervisor, unless another task just has; return the error if it cannot be started."""
        old = self.current
        # Another task may have renewed it while this one waited for the lock.
        if not self._is_unusable(old):
            return None
        logger.warning("a new supervisor of processes is started%s", "" if old.dead else ": this one is out of memory")
        try:
            await self.start()
        except OSError as exc:
            return exc
        if self._nursery is not None:
            self._nursery.start_soon(self.current.serve)
        old.pool.retire()
        await self._close_finished()
        return None

    def _is_unusable(self, supervisor: Supervisor) -> bool:
        return supervisor.dead or self._is_out_of_memory(supervisor)

    def _is_out_of_memory(self, supervisor: Supervisor) -> bool:
        return supervisor.pool.enomem_count >= _MAX_ENOMEM and trio.current_time() >= self._renewed + _RENEWAL_INTERVAL

    async def _close_finished(self) -> None:
        for supervisor in [supervisor for supervisor in self._all[:-1] if supervisor.finished]:
            self._all.remove(supervisor)
            await supervisor.aclose(_END_MARGIN)

    async def flush(self) -> None:
        """As `Heartbeat.flush`, for the current one."""
        await self.current.heartbeat.flush()

    def trees(self) -> list[Tree]:
        """Return the trees of all shims, including those that are being handed over."""
        return [shim.tree for supervisor in self._all for shim in supervisor.pool.shims if shim.tree is not None]

    @trio.lowlevel.enable_ki_protection
    async def aclose(self) -> None:
        """End all supervisors. `run` must have ended."""
        async with trio.open_nursery() as nursery:
            for supervisor in self._all:
                nursery.start_soon(supervisor.aclose, self._kill_timeout + _END_MARGIN)
