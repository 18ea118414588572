"""`Submissions`: which jobs of a submission are accepted, and their launch."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final, Protocol

import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import DONE, LAUNCHING, WAITING, Ledger, LiveJob, make_live
from runtime.backend.contract.tasks import Tasks, is_cancelled
from runtime.job import WATCHED_KEYS, FailureKind, JobHandle, JobSpec
from runtime.job.drafts import make_handles
from runtime.job.protocol import Specification


class Settings(Protocol):
    """The object that the caller holds, as far as an open backend reads it; see `RuntimeBackend`."""

    name: str
    supports_interactive: bool
    watches_logs: ClassVar[bool]
    limits_memory: ClassVar[bool]

    @property
    def max_parallelism(self) -> int | None:
        """How many jobs may be live at once; may change while the backend is open."""

    @property
    def drain_timeout(self) -> float:
        """Seconds without progress by the receiver after which a cancelled block stops delivering."""

    def make_driver(self, control: Control) -> Driver:
        """Return a new driver."""


class Submissions:
    """The submissions of an open backend.

    Args:
        backend: the object that the caller holds; it appears in handles.
        driver: launches the jobs.
        tasks: the nursery of the backend.
        ledger: its live jobs.
        control: as for the driver.
        tickets: how many submitted jobs there were in earlier blocks of `backend`.
    """

    def __init__(
        self, backend: Settings, driver: Driver, tasks: Tasks, ledger: Ledger, control: Control, tickets: int
    ) -> None:
        self.tickets: int = tickets
        """How many jobs were submitted, those of earlier blocks included: a handle of such a block is stale."""
        self._backend = backend
        self._driver = driver
        self._tasks = tasks
        self._ledger = ledger
        self._control = control
        self._interactive: LiveJob | None = None
        """The interactive job that was accepted last. While it is live, no other job is accepted."""

    async def submit(self, specs: Sequence[Specification], attempts: Mapping[str, int] | None) -> dict[str, JobHandle]:
        """Launch what fits, and return the handles of the accepted jobs. See `RuntimeBackend.submit_many`."""
        if attempts is not None:
            _check_attempts(attempts)
        batch = make_live(specs, trio.current_time(), attempts=attempts, ticket=self.tickets + 1)
        live, most = len(self._ledger), self._backend.max_parallelism
        self._ledger.admit(batch)  # the whole batch, so that a duplicate among refused jobs is found as well
        self.tickets += len(batch)
        free = math.inf if most is None else most - live
        exclusive = self._is_occupied() or any(map(_interactive, batch))
        entering = batch if len(batch) <= free and not exclusive else self._fitting(batch, free, live)
        if len(entering) < len(batch):
            staying = {id(job) for job in entering}
            for job in batch:
                if id(job) not in staying:
                    self._control.refuse(job)
        if not entering:
            await trio.lowlevel.checkpoint()
            return {}
        launched = trio.Event()
        # In the backend's nursery, not here: a cancelled caller must not stop a launch halfway, which could leave a
        # process that no ledger knows.
        self._tasks.start(self._launch, entering, launched)
        try:
            await launched.wait()
        except BaseException:  # cancelled, or a Ctrl-C in the main task
            self._cancel_submission(entering)
            raise
        del batch  # see `make_handles`
        return make_handles(entering, self._backend)

    def _is_occupied(self) -> bool:
        """Whether an interactive job has the backend to itself."""
        return self._interactive is not None and self._interactive.stage is not DONE

    def _fitting(self, batch: Sequence[LiveJob], free: float, live: int) -> list[LiveJob]:
        """Return the jobs that are accepted now: at most `free` of them, and an interactive one only by itself."""
        if self._is_occupied():
            return []
        entering = list(batch[: max(0, int(min(free, len(batch))))])
        interactive = next((job for job in entering if job.interactive), None)
        if interactive is None:
            return entering
        if live:
            return [job for job in entering if not job.interactive]
        self._interactive = interactive
        return [interactive]

    def _cancel_submission(self, jobs: Sequence[LiveJob]) -> None:
        """Refuse the jobs of a cancelled submission whose launch has not begun, and kill the others."""
        for job in jobs:
            if job.stage is WAITING:
                self._ledger.remove(job, accepted=False)
        self._control.stop(jobs, FailureKind.CANCELLED, "killed because its submission was cancelled")

    async def _launch(self, jobs: Sequence[LiveJob], launched: trio.Event) -> None:
        try:
            if not self._backend.supports_interactive:
                self._fail_interactive(jobs)
            if JobSpec.some_are_watched and not self._backend.watches_logs:
                self._fail_watched(jobs)
            if JobSpec.some_have_ceilings and not self._backend.limits_memory:
                self._fail_with_ceiling(jobs)
            waiting = [job for job in jobs if job.stage is WAITING]
            if waiting:
                await self._driver.launch(waiting)
                for job in waiting:
                    if job.stage is WAITING:  # the driver did not begin it
                        self._control.refuse(job)
        except BaseException as exc:
            if is_cancelled(exc):
                raise
            self._tasks.fail(exc)
            for job in jobs:  # nothing else would complete the jobs whose launch had begun
                if job.stage is LAUNCHING:
                    why = f"its launch broke backend {self._tasks.name!r}: {exc!r}"
                    self._control.fail(job, FailureKind.BACKEND_ERROR, why)
            raise
        finally:
            launched.set()

    def _fail_interactive(self, jobs: Iterable[LiveJob]) -> None:
        for job in jobs:
            if job.interactive and self._control.begin(job):
                why = f"backend {self._tasks.name!r} cannot run an interactive job"
                self._control.fail(job, FailureKind.LAUNCH_ERROR, why)

    def _fail_watched(self, jobs: Iterable[LiveJob]) -> None:
        for job in jobs:
            if not isinstance(job.spec, JobSpec):
                continue
            key = next((key for key in WATCHED_KEYS if getattr(job.spec, key) is not None), None)
            if key is not None and self._control.begin(job):
                why = f"it has {key}, and backend {self._tasks.name!r} does not see what its jobs write"
                self._control.fail(job, FailureKind.LAUNCH_ERROR, why)

    def _fail_with_ceiling(self, jobs: Iterable[LiveJob]) -> None:
        for job in jobs:
            if isinstance(job.spec, JobSpec) and job.spec.memory is not None and self._control.begin(job):
                why = f"it has memory, and backend {self._tasks.name!r} does not limit the memory of its jobs"
                self._control.fail(job, FailureKind.LAUNCH_ERROR, why)


def _check_attempts(attempts: Mapping[str, int]) -> None:
    if not isinstance(attempts, Mapping):
        raise ValueError(f"attempts is {attempts!r}; expected a mapping from ids of jobs to numbers of attempts")
    for job_id, attempt in attempts.items():
        if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1:
            raise ValueError(f"attempt {attempt!r} of job {job_id!r} is not valid; expected a whole number from 1")


_interactive: Final = operator.attrgetter("interactive")
