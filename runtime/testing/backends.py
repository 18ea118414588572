"""`ScriptedBackend`: a backend that misbehaves at a chosen step; `FakeFixtures`: fakes for the conformance suite.

A script says what happens at each step, for all jobs or for one::

    ScriptedBackend(script={Step.LAUNCH: Delay(2.0), (Step.KILL, "smoke"): Hang(), Step.TEARDOWN: Raise(OSError())})
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import trio

from runtime.backend.fake import FakeBackend, FakePolicy, FakeRun, pass_at_once
from runtime.backend.live import LiveJob
from runtime.job import FailureKind, JobSpec, JobStatus, JobStatusInfo
from runtime.testing.fixture import BackendFixture, Behaviour


class Step(enum.Enum):
    """Where a script can act."""

    SETUP = "setup"
    SERVE = "serve"
    LAUNCH = "launch"
    """Between the start of a job's launch and its return; the other jobs of the call wait."""
    KILL = "kill"
    TEARDOWN = "teardown"


@attrs.frozen
class Delay:
    """Sleep, then continue."""

    seconds: float


@attrs.frozen
class Hang:
    """Block until cancelled. A kill that hangs does nothing."""


@attrs.frozen
class Raise:
    """Raise `error`, as a bug of the backend would."""

    error: BaseException


@attrs.frozen
class Busy:
    """Refuse the job. Only for `Step.LAUNCH`."""


Act = Delay | Hang | Raise | Busy
Script = Mapping[Step | tuple[Step, str], Act]
"""Maps a step, or a step and a job id, to what happens there. The entry with the job id has precedence."""


class ScriptedBackend(FakeBackend):
    """A `FakeBackend` that acts as a script says.

    Args:
        policy: how each job ends, as for `FakeBackend`.
        script: what happens at which step. The attribute may be replaced at any time.
    """

    name = "scripted"

    def __init__(self, policy: FakePolicy = pass_at_once, *, script: Script | None = None, **options: Any) -> None:
        super().__init__(policy, **options)
        self.script: Script = script or {}
        self.steps: Counter[tuple[Step, str]] = Counter()
        """How often each step ran, by step and job id. The id is empty for steps that belong to no job."""

    async def _setup(self) -> None:
        await self._act(Step.SETUP)

    async def _serve(self) -> None:
        await self._act(Step.SERVE)

    async def _teardown(self) -> None:
        await self._act(Step.TEARDOWN)

    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if self._begin(job):
                if isinstance(await self._act(Step.LAUNCH, job.id), Busy):
                    self._refuse(job)
                else:
                    self._launch_begun([job])
        await trio.lowlevel.checkpoint()  # a script without delays must not turn this into a plain call

    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            act = self._take(Step.KILL, job.id)
            if isinstance(act, Raise):
                raise act.error
            if isinstance(act, Delay):
                self._start_task(self._kill_later, job, act.seconds)
            elif not isinstance(act, Hang):
                super()._kill([job])

    async def _kill_later(self, job: LiveJob, seconds: float) -> None:
        await trio.sleep(seconds)
        super()._kill([job])

    def _take(self, step: Step, job_id: str = "") -> Act | None:
        self.steps[step, job_id] += 1
        return self.script.get((step, job_id), self.script.get(step))

    async def _act(self, step: Step, job_id: str = "") -> Act | None:
        act = self._take(step, job_id)
        if isinstance(act, Raise):
            raise act.error
        if isinstance(act, Delay):
            await trio.sleep(act.seconds)
        elif isinstance(act, Hang):
            await trio.sleep_forever()
        return act


BEHAVIOURS: Mapping[Behaviour, FakeRun] = {
    Behaviour.PASS: FakeRun(duration=1),
    Behaviour.FAIL: FakeRun(JobStatus.FAILED, JobStatusInfo("exit code 1", kind=FailureKind.EXIT_CODE), duration=1),
    Behaviour.RUN_UNTIL_KILLED: FakeRun(duration=math.inf, kill_duration=0.5),
    Behaviour.IGNORE_SIGTERM: FakeRun(duration=math.inf, kill_duration=5),
    Behaviour.CANNOT_LAUNCH: FakeRun(launch_error="no such program"),
    Behaviour.BUSY_ONCE: FakeRun(duration=1),
}
"""How a fake runs each job of the conformance suite."""


class FakeFixtures:
    """A factory of `BackendFixture`s around fakes. It is a model for the factories of other backends.

    Args:
        backend_class: the class to check.
        queued: seconds that each job is QUEUED before it runs; `None`: no job is.
        at_once: whether jobs that end by themselves have ended when `submit_many` returns.
        options: for the constructor of `backend_class`.
    """

    def __init__(
        self,
        backend_class: type[FakeBackend] = FakeBackend,
        *,
        queued: float | None = None,
        at_once: bool = False,
        **options: Any,
    ) -> None:
        self._backend_class = backend_class
        self._queued = queued
        self._at_once = at_once
        self._options = options

    def __call__(self) -> BackendFixture:
        """Return a fixture with a new backend."""
        submissions: Counter[str] = Counter()

        def policy(job: JobSpec, _attempt: int) -> FakeRun:
            behaviour = Behaviour(job.cmd)
            submissions[job.id] += 1
            run = BEHAVIOURS[behaviour]
            if behaviour is Behaviour.BUSY_ONCE and submissions[job.id] == 1:
                return attrs.evolve(run, busy=True)
            at_once = self._at_once and run.duration < math.inf
            return attrs.evolve(run, queued=self._queued, duration=0 if at_once else run.duration)

        backend = self._backend_class(policy, **self._options)
        return BackendFixture(backend, _make_job, alive=lambda job_id: job_id in backend.running)


def _make_job(behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - see MakeJob
    return JobSpec(name=id, cmd=behaviour.value, timeout=timeout)
