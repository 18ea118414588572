"""`Driver`: what the author of a backend writes, which is how to launch, kill and watch jobs.

A driver in short::

    class MyDriver(Driver):
        async def launch(self, jobs):              # in the backend's nursery, never in the caller's task
            for job in jobs:
                if self.control.begin(job):        # false: the job was killed before its launch began
                    ...                            # start it; then call one of
                    self.control.started(job)      #   it runs
                    self.control.queued(job)       #   it was launched, and waits in a queue
                    self.control.refuse(job)       #   the backend is busy: nothing of the job runs
                    self.control.fail(job, kind, text)  #   it cannot be launched

        def kill(self, jobs): ...                  # begin to kill them; does not block; the completion follows

    class MyBackend(RuntimeBackend):
        name = "mine"

        def make_driver(self, control):
            return MyDriver(control)

When a job ends, the driver calls `Control.finish` (or `Control.finish_stopped`), usually in a task that
`Control.start_task` has started.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.backend.contract.control import Control
    from runtime.backend.contract.live import LiveJob


class Driver(abc.ABC):
    """Runs the jobs of one opened backend. Made by `RuntimeBackend.make_driver` for a block, and gone with it.

    All methods are called in the event loop, protected from Ctrl-C. An exception that a method raises is a bug and
    breaks the backend, except for `setup`, whose exception `RuntimeBackend.open` raises.

    Args:
        control: records what happens to the jobs.
    """

    kill_deadline: float | None = 30.0
    """Seconds from the request of a kill until the job is abandoned as lost; `None` if kills have another bound."""

    def __init__(self, control: Control) -> None:
        self.control = control

    @abc.abstractmethod
    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Launch `jobs`: see the module's docstring. Jobs that it does not begin are refused.

        Runs in the backend's nursery, so a cancelled caller does not interrupt it; `Control.begin` returns false
        instead.
        """

    @abc.abstractmethod
    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Begin to kill `jobs`, all at the same time; does not block. Called once for each job that was launched."""

    def force(self, jobs: Sequence[LiveJob]) -> None:
        """Skip what is left of the gentle steps of the kills of `jobs`. By default does nothing: there are none."""

    def take_back(self, job: LiveJob) -> bool:
        """Withdraw the launch of `job`; return whether nothing of it runs, or will run.

        Called once for a job that is killed while its launch is in progress. For drivers that queue launches. By
        default a launch that has begun goes on, and `kill` follows it.
        """
        return False

    async def setup(self) -> None:
        """Acquire what the backend needs, before the block begins. May be cancelled."""

    async def serve(self) -> None:
        """Run in the background, shielded, until the block ends. May return early."""

    async def teardown(self) -> None:
        """Release what `setup` acquired. No job is live. Runs shielded, for at most `TEARDOWN_DEADLINE` seconds.

        Not called if `setup` raised.
        """

    def limits(self, spec: Any) -> tuple[float | None, float | None]:
        """Return the `timeout` and the `queue_timeout` of a specification, in seconds; `None` for no limit."""
        return getattr(spec, "timeout", None), getattr(spec, "queue_timeout", None)

    def has_ended(self, job: LiveJob) -> bool:
        """Return whether `job` has ended and only its completion is missing: then no `timeout` counts any more."""
        return False

    def describe_wait(self, job: LiveJob) -> str:
        """Return where a QUEUED job waits, or for what, for the message of its `queue_timeout`."""
        return "in the queue"

    def forget(self, job_id: str) -> None:
        """Drop what is kept of a job that was refused: it was killed by its id, and will not be submitted again."""

    def notes(self) -> list[str]:
        """Return lines that are added to the exception which leaves the block, or else are logged."""
        return []
