"""After: a backend for the farm. It never blocks, and polls all jobs with one command per tick."""

from __future__ import annotations

import logging
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Unpack

import trio

from runtime import BackendOptions, Control, Driver, FailureKind, LiveJob, RuntimeBackend
from runtime.process import Exit
from runtime.verdict import verdict

logger: Final = logging.getLogger(__name__)

FARM: Final = Path(__file__).with_name("farm")
FULL: Final = 75
"""The exit code of ``farm submit`` when the farm is full."""
MAX_FAILURES: Final = 10
"""Polls in a row that may fail before the farm counts as broken. Arbitrary: ten times as many would wait long for a
farm that is gone, with one a short outage would end the run."""


class FarmError(Exception):
    """The farm does not answer."""


class FarmBackend(RuntimeBackend):
    """Runs jobs, which must have an `odir`, on the farm.

    Args:
        farm: the path of the farm's command.
        poll_interval: seconds between two polls.
        options: as for `RuntimeBackend`.
    """

    name = "farm"
    default_parallelism = 100

    def __init__(self, farm: Path = FARM, *, poll_interval: float = 0.1, **options: Unpack[BackendOptions]) -> None:
        super().__init__(**options)
        self._farm = farm
        self._poll_interval = poll_interval

    def make_driver(self, control: Control) -> Driver:
        """Return a driver for the jobs of one block."""
        return FarmDriver(control, self._farm, self._poll_interval)


class FarmDriver(Driver):
    """Submits, watches and kills the jobs of one block."""

    def __init__(self, control: Control, farm: Path, poll_interval: float) -> None:
        super().__init__(control)
        self._farm = farm
        self._poll_interval = poll_interval
        self._jobs: dict[str, LiveJob] = {}
        """The jobs on the farm, by the farm's ids."""
        self._wake = trio.Event()
        self._files = trio.CapacityLimiter(4)

    # ------------------------------------------------------------------ launch

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Submit each of `jobs` to the farm."""
        for job in jobs:
            if self.control.begin(job):
                await self._launch_one(job)

    async def _launch_one(self, job: LiveJob) -> None:
        spec = job.spec
        try:
            await trio.to_thread.run_sync(_make_directory, spec.odir, limiter=self._files)
        except OSError as exc:
            self.control.fail(job, FailureKind.LAUNCH_ERROR, str(exc))
            return
        command = spec.cmd if isinstance(spec.cmd, str) else shlex.join(spec.cmd)
        done = await self._ask_farm("submit", spec.odir, command)
        if done.returncode == FULL:
            self.control.refuse(job)
        elif done.returncode != 0:
            self.control.fail(job, FailureKind.LAUNCH_ERROR, done.stderr.strip())
        else:
            job.data = done.stdout.strip()
            self._jobs[job.data] = job
            if self.control.started(job):
                self._wake.set()
            else:  # the job was lost, as the launch took too long: nothing of it may run on
                del self._jobs[job.data]
                await self._ask_farm("kill", job.data)

    # ------------------------------------------------------------------ kill

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Start a task that kills `jobs`."""
        self.control.start_task(self._take_from_farm, [job.data for job in jobs])

    async def _take_from_farm(self, ids: list[str]) -> None:
        done = await self._ask_farm("kill", *ids)  # all of them with one command
        await self._settle(done.stdout)

    # ------------------------------------------------------------------ watch

    async def serve(self) -> None:
        """Poll the farm, until the block ends."""
        failures = 0
        while True:
            if not self._jobs:
                self._wake = trio.Event()
                await self._wake.wait()  # without jobs it sleeps
            await trio.sleep(self._poll_interval)
            if not self._jobs:
                continue
            done = await self._ask_farm("status", *self._jobs)
            if done.returncode == 0:
                failures = 0
                await self._settle(done.stdout)
                continue
            failures += 1
            error = done.stderr.strip()
            logger.warning("the farm does not return the status of its jobs (%d in a row): %s", failures, error)
            if failures >= MAX_FAILURES:
                raise FarmError(error)  # breaks the backend: its jobs are killed and completed

    async def _settle(self, answer: str) -> None:
        """Complete the jobs that have ended, given the output of ``farm status`` or ``farm kill``."""
        for line in answer.splitlines():
            farm_id, state, *code = line.split()
            if state == "running":
                continue
            job = self._jobs.pop(farm_id, None)
            if job is None:
                continue  # a poll and a kill may both report the end: the first one counts
            if state == "ended":
                await self._judge(job, int(code[0]))
            elif job.stop is not None:
                self.control.finish_stopped(job)
            else:
                self.control.fail(job, FailureKind.CANCELLED, "killed on the farm by another user")

    async def _judge(self, job: LiveJob, code: int) -> None:
        log = f"{job.spec.odir}/job.log"
        found = await trio.to_thread.run_sync(verdict, job.spec, Exit(code=code), log, limiter=self._files)
        self.control.finish(job, found.status, found.reason)

    async def _ask_farm(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = await trio.run_process([self._farm, *words], capture_stdout=True, capture_stderr=True, check=False)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _make_directory(path: str | None) -> None:
    if path is None:
        raise FileNotFoundError("the job has no odir; expected a directory in which the farm runs it")
    Path(path).mkdir(parents=True, exist_ok=True)
