"""A whole backend, as docs/backends.md prints and explains it."""

from collections.abc import Sequence

import trio

from runtime import Control, Driver, FailureKind, JobStatus, LiveJob, RuntimeBackend


class SleepBackend(RuntimeBackend):
    """Runs jobs whose command is a number of seconds to sleep; with a minus sign they fail after that."""

    name = "sleep"

    def make_driver(self, control: Control) -> Driver:
        return SleepDriver(control)


class SleepDriver(Driver):
    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        for job in self.control.begin_all(jobs):  # without those that were killed before their launch began
            try:
                seconds = float(job.spec.cmd)
            except ValueError:
                why = f"cmd is {job.spec.cmd!r}; expected a number of seconds"
                self.control.fail(job, FailureKind.LAUNCH_ERROR, why)
                continue
            job.data = trio.CancelScope()  # before `started`, which calls `kill` if the job is to end already
            self.control.start_task(self.run, job, seconds)
            self.control.started(job)

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            job.data.cancel()

    async def run(self, job: LiveJob, seconds: float) -> None:
        with job.data as killed:
            await trio.sleep(abs(seconds))
        if killed.cancelled_caught:
            self.control.finish_stopped(job)
        elif seconds < 0:
            self.control.fail(job, FailureKind.EXIT_CODE, "the number is negative")
        else:
            self.control.finish(job, JobStatus.PASSED)
