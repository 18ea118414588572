"""`RecordedFlow`: the scheduler of a flow of DVSim's, with all that a run of the command line has: a journal above all.

It stands in for `run_scheduler` of DVSim, in the process of its command line.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import trio
from dvsim.instrumentation import runtime as instrumentation
from dvsim.job.data import CompletedJobStatus
from dvsim.job.data import JobSpec as TheirJobSpec

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.legacy import LegacyLauncherAdapter
from runtime.backend.registry import LauncherFactory, backends
from runtime.cli.earlier import Earlier
from runtime.cli.make_backends import make_backends
from runtime.cli.options import check_out
from runtime.cli.prepare import Prepared, new_run_name
from runtime.cli.resuming import plan_resumption
from runtime.cli.run import Run
from runtime.cli.run_journal import RunJournal
from runtime.dvsim.backends import as_backend, limits_of, theirs_of
from runtime.dvsim.guest import as_guest
from runtime.dvsim.jobs import FlowJobs
from runtime.dvsim.observers import Observers
from runtime.dvsim.screen import DVSimScreen
from runtime.errors import GraphError, ResourceError, SpecError
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError
from runtime.jobfile.regression import RecordedFiles, Regression
from runtime.process import in_thread
from runtime.report.known_failures import KnownFailures
from runtime.report.output import Output
from runtime.roots import Roots
from runtime.scheduler.run import Scheduler

_MAX_NAMES: Final = 3
"""Blocks that the name of a run has. Arbitrary: the name is a column of tables."""


class RecordedFlow:
    """Runs the jobs of a flow, once.

    Args:
        options: of the command.
        command: the words of the command line, for the journal.
        earlier: the run that is resumed; `None` for a new one. It is closed with the run.
        seed_base: what all is drawn from that DVSim draws at random.
        log: the handler that has shown the runtime's log so far.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        command: Sequence[str],
        earlier: Earlier | None,
        seed_base: int,
        log: logging.Handler,
    ) -> None:
        self._options = options
        self._command = command
        self._earlier = earlier
        self._seed_base = seed_base
        self._log = log
        self._out = check_out(options.out)  # now, before DVSim chooses another current directory
        self.exit_code: int | None = None
        """What ``job-runtime run`` would exit with; `None` if it has not run."""
        self.failure: BaseException | None = None
        """What this has raised, in the middle of DVSim."""

    async def run_scheduler(
        self,
        *,
        jobs: Iterable[TheirJobSpec],
        max_parallel: int,
        interactive: bool,
        backend: Any,
        resource_manager: Any = None,
    ) -> list[CompletedJobStatus]:
        """Run the jobs in DVSim's asyncio loop; return their results. Arguments as for DVSim's function.

        Raises:
            InputError: for jobs that cannot run, or a directory that cannot be made.
        """
        try:
            return await self._run(jobs, max_parallel, backend, resource_manager, is_interactive=interactive)
        except BaseException as exc:
            self.failure = exc
            raise

    async def _run(
        self, jobs: Iterable[TheirJobSpec], max_parallel: int, backend: Any, resources: Any, *, is_interactive: bool
    ) -> list[CompletedJobStatus]:
        if instrumentation.get() is not None:
            raise InputError(
                "--instrument is given, which looks into DVSim's own scheduler; expected dvsim without it:"
                " --trace and --metrics, before the --, show the times of jobs"
            )
        flow = FlowJobs(jobs)
        limits, missing = await limits_of(resources)
        if self._options.max_parallel is not None:
            max_parallel = self._options.max_parallel
        prepared = self._prepare(flow, backend, max_parallel, limits, missing)
        run = Run(
            prepared, self._options, self._command, Output(sys.stdout), Output(sys.stderr), self._log, DVSimScreen
        )
        observers = Observers(flow, is_interactive=is_interactive)
        kept = [] if prepared.keeps is None else [name for name, each in prepared.keeps.decisions.items() if each.keep]

        async def main() -> None:
            await in_thread(flow.finish_kept, kept, limiter=trio.CapacityLimiter(1))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(observers.follow, observers.subscribe(prepared.scheduler))
                await run.main()

        with run.opened(), observers.shown():
            await as_guest(main)
            self.exit_code = run.exit_code()
        return flow.results(prepared.scheduler.results())

    def _prepare(
        self, flow: FlowJobs, backend: Any, max_parallel: int, limits: Mapping[str, Any], missing: Any
    ) -> Prepared:
        """Return the parts of the run, checked."""
        options, earlier = self._options, self._earlier
        name = new_run_name(datetime.now(UTC)) if earlier is None else earlier.run_dir.name
        roots = Roots(str(self._out / name)) if earlier is None else earlier.roots
        regression = Regression(
            _name_of(flow), (), {}, {}, "dvsim", recorded=RecordedFiles(directory=_project_of(flow))
        )
        try:
            jobs = flow.ours()
            made = self._backend(flow, backend, jobs, regression, roots)
            journal = RunJournal(roots, regression, jobs, {}, earlier)
            keeps = None if earlier is None else plan_resumption(earlier, jobs, {made.name: made})
            token = secrets.token_hex(8) if earlier is None else earlier.token
            scheduler = Scheduler(
                jobs,
                made,
                max_parallelism=max_parallel,
                resources=limits,
                on_missing_resource=missing,
                max_failures=1 if options.fail_fast else options.max_failures,
                first_attempts=None if keeps is None else keeps.first_attempts,
                journal=journal.recorder,
                run_token=token,
            )
        except (GraphError, ResourceError, SpecError, TypeError) as exc:
            raise InputError(f"dvsim: {exc}") from exc
        return Prepared(
            run=name,
            run_dir=Path(roots),
            roots=roots,
            token=token,
            seed_base=self._seed_base,
            draws_seeds=True,
            regression=regression,
            jobs=jobs,
            backends={made.name: made},
            default_backend=made.name,
            removable={},
            journal=journal,
            keeps=keeps,
            is_resumed=earlier is not None,
            known=KnownFailures((), datetime.now().astimezone().date()),
            scheduler=scheduler,
        )

    def _backend(
        self, flow: FlowJobs, given: Any, jobs: Sequence[JobSpec], regression: Regression, roots: Roots
    ) -> RuntimeBackend:
        """Return the backend that the options name, or else the one that stands for DVSim's."""
        options = self._options
        if options.backend is None:
            room = {"mem_free": options.mem_free, "disk_free": options.disk_free}
            return as_backend(given, flow, roots, **room)
        backends.check(options.backend)
        factory = backends.load(options.backend)
        if isinstance(factory, LauncherFactory):  # launchers get DVSim's jobs as they are
            return LegacyLauncherAdapter(factory.launcher_cls, name=options.backend, view=theirs_of(flow))
        return make_backends(jobs, options.backend, regression, options, roots)[options.backend]


def _name_of(flow: FlowJobs) -> str:
    """Return the name of a run: those of its blocks."""
    names = list(dict.fromkeys(str(job.block.name) for job in flow.theirs))
    return ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")


def _project_of(flow: FlowJobs) -> Path:
    """Return the directory of the project, whose revision the journal tells."""
    return Path(flow.theirs[0].workspace_cfg.project_root) if flow.theirs else Path.cwd()
