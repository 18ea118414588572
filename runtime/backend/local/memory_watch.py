"""`MemoryWatch`: one task looks at the memory of all jobs that have a ceiling, and ends those that are over it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs
import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.live import DONE
from runtime.backend.local.ceilings import Ceiling
from runtime.job import FailureKind
from runtime.process import in_thread
from runtime.process.memory_use import MemoryTable, MemoryUse

if TYPE_CHECKING:
    from runtime.backend.local.local_job import LocalJob  # which is watched by this

_INTERVAL: Final = 0.25
"""Seconds between two looks. Arbitrary: in so long a program can fill some hundred MiB. Ten times longer, and a job
without a cgroup fills the machine; ten times shorter, and reading the processes of a large one takes a processor."""

_SHARE: Final = 10
"""A look that takes long is followed by a pause that is so many times as long. Arbitrary: it takes a tenth of a
processor at most."""


class MemoryWatch:
    """Watches the memory of jobs.

    Args:
        control: is told which jobs are over their ceilings.
        limiter: limits the threads that look at jobs that have ended.
    """

    def __init__(self, control: Control, limiter: trio.CapacityLimiter) -> None:
        self._control = control
        self._limiter = limiter
        self._looking = trio.CapacityLimiter(1)  # its own: a look must not wait for logs that are judged
        self._jobs: dict[LocalJob, Ceiling] = {}
        self._added = trio.Event()
        self._is_running = False

    def add(self, job: LocalJob, ceiling: Ceiling) -> None:
        """Watch a job, which has begun, until `conclude`."""
        self._jobs[job] = ceiling
        self._added.set()
        if not self._is_running:
            self._is_running = True
            self._control.start_task(self._run)

    async def conclude(self, job: LocalJob, ceiling: Ceiling) -> str | None:
        """Return how a job, which has ended, was over its ceiling; `None` if it was not. Its cgroup is removed."""
        self._jobs.pop(job, None)
        if ceiling.cgroup is None:
            return None  # it was not over when somebody looked; if it was, it was stopped for that
        cgroup = ceiling.cgroup

        def last() -> MemoryUse:
            use = cgroup.use()
            cgroup.remove()
            return use

        use = await in_thread(last, limiter=self._limiter)
        return str(use) if use.is_over else None

    async def _run(self) -> None:
        """Serve until cancelled."""
        while True:
            if not self._jobs:
                self._added = trio.Event()
                await self._added.wait()
            began = trio.current_time()
            await self._look()
            await trio.sleep(max(_INTERVAL, _SHARE * (trio.current_time() - began)))

    @trio.lowlevel.enable_ki_protection
    async def _look(self) -> None:
        for job in [job for job in self._jobs if job.job.stage is DONE]:  # it was abandoned
            del self._jobs[job]
        jobs = [job for job in self._jobs if not job.has_ended()]
        looks = [_Look(self._jobs[job], job.tree.pid or 0, job.tree.ancestor() or 0) for job in jobs]
        with suppress(OSError, MemoryError):  # no thread, file or memory is to be had: the next look may succeed
            uses = await in_thread(lambda: _read(looks), limiter=self._looking, wait_for_thread=False)
            for job, use in zip(jobs, uses, strict=True):
                if use.is_over and job in self._jobs and not job.has_ended():
                    # Without the gentle steps: what is not in a cgroup would go on to fill the machine.
                    self._control.stop([job.job], FailureKind.OUT_OF_MEMORY, str(use), force=True)


@attrs.frozen
class _Look:
    """What a look needs to know of a job; the processes as for `MemoryTable.of_job`."""

    ceiling: Ceiling
    root: int
    ancestor: int


def _read(looks: Sequence[_Look]) -> list[MemoryUse]:
    """Return what jobs use. Blocks."""
    # One reading for all jobs that need one.
    table = MemoryTable.read() if any(look.ceiling.watched is not None for look in looks) else None
    return [look.ceiling.use(table, look.root, look.ancestor) for look in looks]
