"""`FakeBackend`: implements the contract and runs nothing. A policy decides how each job behaves.

For tests, for dry runs of a whole regression, and for measuring the cost of the runtime itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Unpack

import attrs
import trio

from runtime.backend.contract.backend import BackendOptions, RuntimeBackend
from runtime.backend.contract.control import Control, JobEnd
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.interrupts import call_hook
from runtime.backend.contract.live import LiveJob
from runtime.job import FailureKind, JobStatus, JobStatusInfo, JobUsage
from runtime.job.numbers import brief


@attrs.frozen
class FakeRun:
    """How one attempt of a job behaves."""

    status: JobStatus = JobStatus.PASSED
    """Its final status, unless it is killed."""
    reason: JobStatusInfo | None = None
    usage: JobUsage | None = None
    duration: float = 0.0
    """Seconds that it runs; `math.inf`: until it is killed; 0: it has completed when `submit_many` returns."""
    queued: float | None = None
    """Seconds in a queue before it runs; `None`: it runs at once."""
    kill_duration: float = 0.0
    """Seconds from a kill to its end; `math.inf`: a kill has no effect."""
    launch_error: str | None = None
    """Why it cannot be launched; `None`: it can."""
    busy: bool = False
    """Whether it is refused."""
    at_once: bool = attrs.field(init=False, repr=False)
    """Whether it ends within its launch; derived from the other fields."""

    @at_once.default
    def _is_at_once(self) -> bool:
        return self.duration == 0 and self.queued is None and self.launch_error is None and not self.busy


FakePolicy = Callable[[Any, int], FakeRun]
"""A function of a job's specification and the number of the attempt, from 1."""

PASS = FakeRun()


def pass_at_once(_job: object, _attempt: int) -> FakeRun:
    """The policy with which every job passes at once."""
    return PASS


class FakeBackend(RuntimeBackend):
    """A backend without processes, in virtual or real time.

    Args:
        policy: decides how each job behaves; the attribute may be replaced at any time, for later launches.
        options: as for `RuntimeBackend`.

    Raises:
        ValueError: if the policy cannot be called.
    """

    name = "fake"
    supports_interactive = True

    def __init__(self, policy: FakePolicy = pass_at_once, **options: Unpack[BackendOptions]) -> None:
        super().__init__(**options)
        if not callable(policy):
            msg = f"FakeBackend: policy is {brief(policy)}; expected a function of a job and the number of its attempt"
            raise ValueError(msg)
        self.policy = policy
        self.running: set[str] = set()
        """Ids of the jobs that count as running, also while they are being killed."""

    def make_driver(self, control: Control) -> Driver:
        """Return a driver that asks the policy for each job."""
        return FakeDriver(control, self)


class FakeDriver(Driver):
    """Runs nothing, and lets each job end as the policy of its backend says."""

    def __init__(self, control: Control, backend: FakeBackend) -> None:
        super().__init__(control)
        self.backend = backend

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Launch `jobs`."""
        self.launch_begun(self.control.begin_all(jobs))
        await trio.lowlevel.checkpoint()  # jobs that end at once would otherwise starve all other tasks

    def launch_begun(self, jobs: Sequence[LiveJob]) -> None:
        """Launch jobs whose launch has begun."""
        self.control.finish_all(self._launch_each(jobs), ran=True)

    def _launch_each(self, jobs: Sequence[LiveJob]) -> Iterator[JobEnd]:
        """Launch `jobs`; yield the ends of those that end within their launch."""
        for job in jobs:
            run = call_hook(self.backend.policy, job.spec, job.attempt)
            if run.at_once:
                yield job, run.status, run.reason, run.usage
            elif run.busy:
                self.control.refuse(job)
            elif run.launch_error is not None:
                self.control.fail(job, FailureKind.LAUNCH_ERROR, run.launch_error)
            else:
                job.data = trio.CancelScope()
                self.control.start_task(self._run, job, run)
                if run.queued is None:
                    self.control.started(job)
                else:
                    self.control.queued(job)

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Kill `jobs`; each ends after its `kill_duration`."""
        for job in jobs:
            job.data.cancel()

    async def _run(self, job: LiveJob, run: FakeRun) -> None:
        running = self.backend.running
        running.add(job.id)
        with job.data as killed:
            if run.queued is not None:
                await trio.sleep(run.queued)
                self.control.progress(job, JobStatus.RUNNING, "on a machine that does not exist")
            await trio.sleep(run.duration)
        if killed.cancelled_caught:
            await trio.sleep(run.kill_duration)
        running.discard(job.id)
        if killed.cancelled_caught:
            self.control.finish_stopped(job)
        else:
            self.control.finish(job, run.status, run.reason, run.usage)
