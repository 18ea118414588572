"""A Slurm in virtual time: the controller and the commands of the fake, on trio's clock, with jobs that need no real
time.

`VirtualSlurm` replaces the commands of a `SlurmBackend`; all else is real: the arguments, the parsing of the output,
what follows from it, and the files. At the end of a job's virtual duration the wrapper really runs, in no virtual time,
and leaves its record; `record_delay` hides that for as long as a slow file system.

Functions for threads are called in the loop, as a clock that jumps would not wait for a thread.
"""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from runtime.backend.batch import BatchBackend
from runtime.job import JobCompletionEvent, JobHandle, JobSpec
from runtime.process.commands import CommandResult
from runtime.testing.fixture import BackendFixture, CheckContext, Session
from tests.no_job import no_job
from tests.slurm.fakes.controller import Controller, Settings
from tests.slurm.fakes.dialect import Dialect
from tests.slurm.fakes.faults import Answer, Edit, Hang, Only, Orders, Say
from tests.slurm.fakes.jobs import Job
from tests.slurm.fakes.slurm import SLURM

CONTACT_TIMEOUT = 9.0
"""Seconds that a client tries to reach a controller that is not there."""


@attrs.frozen
class Run:
    """How a job runs."""

    duration: float = 10
    """Seconds that it runs; `math.inf` if it does not end."""
    record_delay: float = 0
    """Seconds until its record becomes visible."""
    log_delay: float = 0
    """Seconds until its log becomes visible."""
    record: bool = True
    """Whether it leaves a record."""
    skew: float = 0
    """How far its node's clock is ahead, in seconds."""


class VirtualNodes:
    """Where jobs run, in virtual time."""

    def __init__(self, slurm: VirtualSlurm) -> None:
        self._slurm = slurm
        self._scopes: dict[int, trio.CancelScope] = {}

    def start(self, job: Job) -> None:
        """Start its duration."""
        job.process = self._slurm.new_process()
        self._scopes[job.process] = trio.CancelScope()
        self._slurm.nursery.start_soon(self._run, job, job.process)

    async def _run(self, job: Job, process: int) -> None:
        slurm = self._slurm
        run = slurm.run_of(job)
        slurm.begun[job.label] += 1
        status = 0
        with self._scopes[process] as scope:
            await trio.sleep(run.duration)
            status = slurm.play(job, run)
        if scope.cancelled_caught:
            status = signal.SIGTERM
        if job.process == process:
            slurm.controller.ended(job, status)
            slurm.poke()

    def signal(self, job: Job, number: int, *, script: bool = True, children: bool = True) -> None:
        """End it, if the signal is SIGTERM or SIGKILL."""
        if number in {signal.SIGTERM, signal.SIGKILL} and job.process in self._scopes:
            self._scopes[job.process].cancel()


class VirtualSlurm:
    """The cluster. Its `commands_class` replaces that of `runtime.backend.slurm.system`."""

    def __init__(
        self, nursery: trio.Nursery, directory: Path, settings: Settings | None = None, dialect: Dialect = SLURM
    ) -> None:
        self.dialect = dialect
        self.nursery = nursery
        self.directory = directory
        self.settings = settings or Settings()
        self.orders = Orders()
        self.down = False
        """Whether the controller refuses connections."""
        self.runs: Callable[[str, int], Run] = lambda _name, _restarts: Run()
        """From the name of a job, and the number of its restarts, to how it runs."""
        self.begun: Counter[str] = Counter()
        """How often each element has begun."""
        self.calls: list[tuple[str, float, tuple[str, ...]]] = []
        """Program, time, and arguments of each call."""
        self.controller = Controller(VirtualNodes(self), trio.current_time, self.settings)
        self.commands = dialect.commands(self.controller, 1.8e9)
        self.doubtful: list[tuple[Sequence[str], Mapping[str, str]]] = []
        """Submissions that had no answer, and that were not accepted: arguments and environment."""
        self._processes = 0
        self._poked = trio.Event()
        nursery.start_soon(self._work)

    def new_process(self) -> int:
        """Return a new process number."""
        self._processes += 1
        return self._processes

    def poke(self) -> None:
        """Let the controller react to a change."""
        self._poked.set()

    def change(self, function: Callable[[Controller], Any]) -> None:
        """Call ``function(controller)``, and let the controller react."""
        function(self.controller)
        self.poke()

    def count(self, program: str) -> int:
        """How often a program was called."""
        return sum(name == program for name, _, _ in self.calls)

    def times(self, program: str) -> list[float]:
        """The times of its calls, in seconds."""
        return [at for name, at, _ in self.calls if name == program]

    def states(self) -> dict[str, str]:
        """The true state of each job, by its name."""
        return {self.name_of(job): job.state for job in self.controller.jobs}

    async def _work(self) -> None:
        while True:
            self._poked = trio.Event()
            due = self.controller.work()
            with trio.move_on_at(math.inf if due is None else due):
                await self._poked.wait()

    # ------------------------------------------------------------------ jobs

    def name_of(self, job: Job) -> str:
        """The name of the job that an element runs, as its file exports it."""
        assert job.index is not None
        described = Path(job.request.arguments[0], str(job.index - self.dialect.first_index)).read_text()
        found = re.search(r"(?:export NAME='|'NAME=)([^']*)'", described)
        return "" if found is None else found[1]

    def run_of(self, job: Job) -> Run:
        """How it runs."""
        return self.runs(self.name_of(job), job.restarts)

    def play(self, job: Job, run: Run) -> int:
        """Run the wrapper; return its wait status."""
        before = set(self.directory.glob(".batch/ends/*/*"))
        script = self.directory / f"played-{job.job_id}"
        script.write_bytes(job.request.script)
        script.chmod(0o700)
        done = subprocess.run(
            [script, *job.request.arguments],
            env={
                **job.request.environment,
                **self.dialect.environment(job),
            },
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )
        for path in set(self.directory.glob(".batch/ends/*/*.end")) - before:
            if run.skew:
                os.utime(path, (path.stat().st_mtime + run.skew,) * 2)
            if not run.record:
                path.unlink()
            elif run.record_delay:
                hidden = path.with_suffix(".hidden")
                path.rename(hidden)
                self.nursery.start_soon(self._appear, hidden, path, run.record_delay)
        log = self.directory / self.name_of(job) / "job.log"
        if run.log_delay:
            hidden = log.with_suffix(".hidden")
            log.rename(hidden)
            self.nursery.start_soon(self._appear, hidden, log, run.log_delay)
        code = done.returncode
        return -code if code < 0 else code << 8

    @staticmethod
    async def _appear(hidden: Path, path: Path, late: float) -> None:
        await trio.sleep(late)
        if hidden.exists():  # a later start may have replaced it
            hidden.rename(path)

    # ------------------------------------------------------------------ commands

    async def run(self, argv: Sequence[str], environment: Mapping[str, str], command_timeout: float) -> CommandResult:
        """Do what a command does, in virtual time."""
        program, *arguments = argv
        self.calls.append((program, trio.current_time(), tuple(arguments)))
        act = self.orders.take(program)

        def do(only: Sequence[int] | None = None) -> Answer:
            answer = self.commands.run(program, arguments, "/", environment, only=only)
            self.poke()
            return answer

        if act is None and self.down and (refusal := self.commands.no_contact(program)) is not None:
            act = Say(refusal.out, refusal.err, refusal.code, after=CONTACT_TIMEOUT)
        if program == self.dialect.submits and isinstance(act, Hang | Say) and not act.done and not self.down:
            self.doubtful.append((arguments, environment))
        if isinstance(act, Hang):
            if act.done:
                do()
            await trio.sleep(command_timeout)
            return CommandResult(None, "", f"{act.err}it did not return within {command_timeout:g} s", timed_out=True)
        if isinstance(act, Say):
            if act.done:
                do()
            await trio.sleep(act.after)
            answer = Answer(act.out, act.err, act.code)
        elif isinstance(act, Edit):
            answer = act.change(do())
        else:
            answer = do(tuple(act.indices) if isinstance(act, Only) else None)
        await trio.lowlevel.checkpoint()
        out = answer.out.decode("utf-8", "replace") if isinstance(answer.out, bytes) else answer.out
        return CommandResult(answer.code, out, answer.err)


@attrs.frozen
class Scene:
    """An open backend on a virtual Slurm, or another system, with a session that receives its events."""

    slurm: VirtualSlurm
    backend: BatchBackend
    session: Session

    async def submit(self, *names: str, cmd: str = "true", **fields: Any) -> list[JobHandle]:
        """Submit jobs; all must be accepted."""
        specs = [self.spec(name, cmd, **fields) for name in names]
        handles = await self.session.submit(specs)
        assert list(handles) == list(names), "refused"
        return list(handles.values())

    @staticmethod
    def spec(name: str, cmd: str = "true", **fields: Any) -> JobSpec:
        """Return a job that exports its name, so that `VirtualSlurm.name_of` finds it."""
        return JobSpec(name=name, cmd=cmd, exports={"NAME": name}, **fields)

    async def end(self, handle: JobHandle) -> JobCompletionEvent:
        """Wait for the completion of a job."""
        return await self.session.completed(handle)

    async def submit_at_last(self, *names: str, **fields: Any) -> list[JobHandle]:
        """Submit jobs, again and again those that are refused, as a scheduler does."""
        handles: dict[str, JobHandle] = {}
        with trio.fail_after(3600):
            while left := [self.spec(name, **fields) for name in names if name not in handles]:
                handles |= await self.session.submit(left)
                await trio.sleep(5)
        return [handles[name] for name in names]

    async def run(self, *names: str, **fields: Any) -> list[JobCompletionEvent]:
        """Submit jobs, and return their completions."""
        return [await self.end(handle) for handle in await self.submit(*names, **fields)]


@asynccontextmanager
async def open_scene(
    directory: Path,
    patch: pytest.MonkeyPatch,
    *,
    settings: Settings | None = None,
    accounting: float | None = None,
    cluster_nursery: trio.Nursery | None = None,
    dialect: Dialect = SLURM,
    **options: Any,
) -> AsyncIterator[Scene]:
    """Open a scene; at its end each accepted job must have completed once.

    Args:
        directory: the run directory.
        patch: restores the modules.
        settings: of the cluster.
        accounting: how far accounting lags behind, in seconds; `None` if there is none.
        cluster_nursery: the nursery of the cluster, if the cluster is to outlive the scene.
        dialect: which system.
        options: of the backend.
    """

    async def in_the_loop(function: Callable[..., Any], *args: Any, **_options: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return function(*args)

    patch.setattr(trio.to_thread, "run_sync", in_the_loop)
    backend = dialect.backend(directory, **options)
    async with trio.open_nursery() as nursery:
        slurm = VirtualSlurm(cluster_nursery or nursery, directory, settings, dialect)
        slurm.commands.accounting = accounting

        class VirtualCommands:
            def __init__(self, environment: Mapping[str, str], timeout: float | None) -> None:
                self.environment = environment
                self.timeout = math.inf if timeout is None else timeout

            async def run(self, argv: Sequence[str]) -> CommandResult:
                return await slurm.run(argv, self.environment, self.timeout)

        patch.setattr(f"{dialect.module}.Commands", VirtualCommands)
        fixture = BackendFixture(backend, job=no_job)
        async with CheckContext(lambda: fixture, math.inf).session() as session, session.open():
            yield Scene(slurm, backend, session)
        nursery.cancel_scope.cancel()
