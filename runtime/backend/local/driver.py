"""`LocalDriver`: the parts of an opened `LocalBackend`, and how they work together.

A job goes through `LaunchPipeline` until it runs, and is a `LocalJob` from then on, until its completion. `Guards` has
the processes that contain jobs; `Pauser` and `StandstillWatch` take time out of the limits of all jobs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import trio

from runtime.backend.contract.backend import later
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import DONE, LiveJob
from runtime.backend.finishing import Finisher
from runtime.backend.local.ceilings import Ceilings
from runtime.backend.local.environments import Environments
from runtime.backend.local.group_starter import GroupStarter
from runtime.backend.local.guards import Guards
from runtime.backend.local.interactive import UserTerminal
from runtime.backend.local.jobserver import Jobserver
from runtime.backend.local.launch import LaunchContext
from runtime.backend.local.launch_gate import LaunchGate
from runtime.backend.local.local_job import EndedJob, JobServices, LocalJob, complete_ended
from runtime.backend.local.memory_watch import MemoryWatch
from runtime.backend.local.options import LocalOptions
from runtime.backend.local.pausing import Pauser
from runtime.backend.local.pipeline import LaunchPipeline
from runtime.backend.local.standstill_watch import StandstillWatch
from runtime.backend.local.token_pipes import TokenPipes
from runtime.backend.log_watch import LogWatch
from runtime.backend.run_directory import RunDirectory
from runtime.errors import BackendBrokenError
from runtime.process import SIGCHLD_IGNORED, ignores_sigchld, in_thread
from runtime.process.headroom import MachineState, read_machine_state
from runtime.process.limits import Resources, shortages
from runtime.process.memory import OomKills
from runtime.process.platform import missing

logger: Final = logging.getLogger("runtime.backend.local")

_LAUNCH_THREADS: Final = 8
_JUDGE_THREADS: Final = 6
_HOOK_THREADS: Final = 64
"""Threads for each class of blocking work. Arbitrary: ten times more compete for the interpreter's lock; of ten times
fewer, one file system that does not answer stops all. Hooks may take long, so they get more."""

_SHIM_MEMORY: Final = 1_000_000
"""Bytes of a shim that it does not share with others; measured with CPython 3.11."""


class LocalDriver(Driver):
    """Runs jobs as processes of this machine.

    Args:
        control: records what happens to the jobs.
        options: how they run.
        run_directory: the parent of the directories of jobs that name none.
        limit: returns how many run at once, for a warning of what is short, and for the jobserver; `None` for no limit.
        lend_terminal: see `LocalBackend.lend_terminal`.
    """

    def __init__(
        self,
        control: Control,
        options: LocalOptions,
        run_directory: RunDirectory,
        limit: Callable[[], int | None],
        lend_terminal: Callable[[], AbstractAsyncContextManager[object]],
    ) -> None:
        super().__init__(control)
        self.kill_deadline = options.timeouts.total(0 if options.soft.stop is None else options.soft.seconds)
        self._options = options
        self._run_directory = run_directory
        self._limit = limit
        self._lend_terminal = lend_terminal
        self._launch_threads = trio.CapacityLimiter(_LAUNCH_THREADS)
        # The rest is made by `setup`.
        self.guards: Guards
        """The helper processes."""
        self.services: JobServices
        """What the jobs that have started share."""
        self._context: LaunchContext
        self._gate: LaunchGate
        self._pipeline: LaunchPipeline
        self._pausing: Pauser
        self._standstill: StandstillWatch
        self._ended: trio.MemoryReceiveChannel[EndedJob]
        self._jobserver: Jobserver | None = None
        """Made for the first job that uses it."""

    async def setup(self) -> None:
        """Open the run directory and, with containment "tree", start the supervisors."""
        name, contained = self.control.name, self._options.containment == "tree"
        if (why := missing()) is not None:
            raise BackendBrokenError(f"backend {name!r} cannot be opened: {why}")
        if not contained and ignores_sigchld():  # otherwise the jobs are not our children
            raise BackendBrokenError(f"backend {name!r} cannot be opened with containment 'group': {SIGCHLD_IGNORED}")
        try:
            prepared = await in_thread(self._prepare, limiter=self._launch_threads, wait_for_thread=False)
            try:
                self._make_parts(*prepared)
                if contained:
                    await self.guards.start()
            except BaseException:
                self._run_directory.close(self._context.roots)  # `teardown` is not called, as this backend did not open
                raise
        except OSError as exc:
            raise BackendBrokenError(f"backend {name!r} cannot be opened: {exc}") from exc

    def _prepare(self) -> tuple[LaunchContext, OomKills, MachineState]:
        """Read what the system says, and open the run directory. Blocks."""
        self._warn_of_shortages()
        environments, groups, oom_kills = Environments(), GroupStarter(self._options.timeouts.kill), OomKills()
        is_new = self._run_directory.path is None
        roots = self._run_directory.open()  # last, so that nothing has to be closed if a step fails
        if is_new:
            logger.info("backend %r runs its jobs in %s", self.control.name, roots.run_dir)
        has_jobserver = self._limit() is not None
        context = LaunchContext(roots, self._options, environments, groups, Ceilings(self.control.name), has_jobserver)
        return context, oom_kills, read_machine_state(roots.run_dir)

    def _warn_of_shortages(self) -> None:
        """Log a warning of the resources that are too few for as many jobs at once as there may be."""
        if (limit := self._limit()) is None:
            return
        contained = self._options.containment == "tree"
        processes, memory = (2, _SHIM_MEMORY) if contained else (1, 0)
        short = shortages(Resources.here(), limit, processes=processes, memory=memory)
        if short:
            logger.warning(
                "backend %r: %d jobs at once need about %s; otherwise expect jobs to be refused as busy",
                self.control.name,
                limit,
                "; ".join(short),
            )

    def _make_parts(self, context: LaunchContext, oom_kills: OomKills, machine: MachineState) -> None:
        control, options, launching = self.control, self._options, self._launch_threads
        hooking, judging = trio.CapacityLimiter(_HOOK_THREADS), trio.CapacityLimiter(_JUDGE_THREADS)
        self._context = context
        self.guards = Guards(control, context, launching)
        self._standstill = StandstillWatch(control, self.guards.flush)
        self.guards.note_standstill = self._standstill.note_theirs
        self._pausing = Pauser(control.deadlines, context.groups.registry, self.guards.trees)
        ended, self._ended = trio.open_memory_channel[EndedJob](math.inf)
        finisher, terminal = Finisher(judging, hooking), UserTerminal(*options.terminal, self._lend_terminal, judging)
        watch = LogWatch(control, finisher.verdicts, self.has_ended)
        memory_watch = MemoryWatch(control, judging)
        self.services = JobServices(
            control, options, ended, finisher, watch, oom_kills, memory_watch, judging, terminal
        )
        self._gate = LaunchGate(control, options.headroom, machine, partial(read_machine_state, context.roots.run_dir))
        self._pipeline = LaunchPipeline(control, context, self.guards, launching, hooking, self._start)

    async def serve(self) -> None:
        """Run what watches the jobs."""
        self.control.deadlines.catch_up = self._standstill.catch_up
        self.control.start_task(self._standstill.run)
        self.control.start_task(self.guards.run)
        self.control.start_task(self._context.groups.exits.run)
        self.control.start_task(self.services.log_watch.run)
        self.control.start_task(complete_ended, self._ended, self.control)
        await self.services.finisher.verdicts.run()

    async def teardown(self) -> None:
        """End the helper processes, and close the run directory."""
        self._pausing.close()
        await self.guards.aclose()
        self._context.ceilings.close()
        self._run_directory.close(self._context.roots)

    # ------------------------------------------------------------------ jobs

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Launch those of `jobs` for which there is room, when they are not paused."""
        await self._pausing.wait_unpaused()
        if self._jobserver is not None:
            jobs = await self._jobserver.admit(jobs)
        await self._pipeline.launch(await self._gate.admit(jobs))

    def _start(self, job: LocalJob) -> None:
        if job.soft is not None:  # `kill_deadline` is one for all jobs
            self.kill_deadline = later(self.kill_deadline, self._options.timeouts.total(job.soft.seconds))
        job.start(self.services)
        if job.tokens is not None:
            self._connect(job.job, job.tokens)
            job.tokens = None

    def _connect(self, job: LiveJob, pipes: TokenPipes) -> None:
        """Let a job that has just started be a client of the jobserver."""
        if job.stage is DONE:  # it was abandoned during its launch
            pipes.close()
            return
        if self._jobserver is None:
            self._jobserver = Jobserver(self.control, self._limit)
            self.control.when_jobs_end(self._jobserver.note_ended)
            self.control.start_task(self._jobserver.run)
        self._jobserver.connect(job, pipes)

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Begin the stop sequences of `jobs`."""
        for job in jobs:
            if job.data is not None:  # a dry run has no processes
                job.data.stop()

    def force(self, jobs: Sequence[LiveJob]) -> None:
        """Send SIGKILL to `jobs` now."""
        for job in jobs:
            if job.data is not None:
                job.data.force()

    def has_ended(self, job: LiveJob) -> bool:
        """Return whether its processes have ended: a time limit does not limit judging the log."""
        return job.data is not None and job.data.has_ended()

    def describe_wait(self, job: LiveJob) -> str:
        """Return what `job` waits for, which is a line of its log: there is no queue."""
        return self.services.log_watch.describe_wait(job) or super().describe_wait(job)

    def pause(self) -> None:
        """See `LocalBackend.pause`."""
        self._pausing.pause()

    def unpause(self) -> None:
        """See `LocalBackend.unpause`."""
        self._pausing.unpause()
