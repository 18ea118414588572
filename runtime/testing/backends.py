"""`ScriptedBackend`: a backend that misbehaves at a chosen step; `FakeFixtures`: fakes for the conformance suite.

A script says what happens at each step, for all jobs or for one::

    ScriptedBackend(script={Step.LAUNCH: Delay(2.0), (Step.KILL, "smoke"): Hang(), Step.TEARDOWN: Raise(OSError())})
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

import attrs
import trio

from runtime.backend.contract.backend import BackendOptions
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import LiveJob
from runtime.backend.fake import FakeBackend, FakeDriver, FakePolicy, FakeRun, pass_at_once
from runtime.job import FailureKind, JobSpec, JobStatus, JobStatusInfo
from runtime.testing.fixture import BackendFixture, Behaviour


class ScriptPoint(enum.Enum):
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
class Refuse:
    """Refuse the job. Only for `ScriptPoint.LAUNCH`."""


Act = Delay | Hang | Raise | Refuse
Script = Mapping[ScriptPoint | tuple[ScriptPoint, str], Act]
"""Maps a step, or a step and a job id, to what happens there. The entry with the job id has precedence."""


class ScriptedBackend(FakeBackend):
    """A `FakeBackend` that acts as a script says.

    Args:
        policy: how each job ends, as for `FakeBackend`.
        script: what happens at which step. The attribute may be replaced at any time.
    """

    name = "scripted"

    def __init__(
        self, policy: FakePolicy = pass_at_once, *, script: Script | None = None, **options: Unpack[BackendOptions]
    ) -> None:
        super().__init__(policy, **options)
        self.script: Script = script or {}
        self.steps: Counter[tuple[ScriptPoint, str]] = Counter()
        """How often each step ran, by step and job id. The id is empty for steps that belong to no job."""
        self.control: Control
        """The control of the last block, for a test that breaks the backend."""

    def make_driver(self, control: Control) -> Driver:
        """Return a driver that asks the script at each step."""
        self.control = control
        return _ScriptedDriver(FakeDriver(control, self), self)

    def take_act(self, step: ScriptPoint, job_id: str = "") -> Act | None:
        """Count a step, and return what happens there."""
        self.steps[step, job_id] += 1
        return self.script.get((step, job_id), self.script.get(step))


class _ScriptedDriver(Driver):
    """Does what the script says, and else what `fake` does."""

    def __init__(self, fake: FakeDriver, backend: ScriptedBackend) -> None:
        super().__init__(fake.control)
        self._fake = fake
        self._backend = backend

    async def setup(self) -> None:
        await self._act(ScriptPoint.SETUP)

    async def serve(self) -> None:
        await self._act(ScriptPoint.SERVE)

    async def teardown(self) -> None:
        await self._act(ScriptPoint.TEARDOWN)

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            if self.control.begin(job):
                if isinstance(await self._act(ScriptPoint.LAUNCH, job.id), Refuse):
                    self.control.refuse(job)
                else:
                    self._fake.launch_begun([job])
        await trio.lowlevel.checkpoint()  # a script without delays must not turn this into a plain call

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            act = self._backend.take_act(ScriptPoint.KILL, job.id)
            if isinstance(act, Raise):
                raise act.error
            if isinstance(act, Delay):
                self.control.start_task(self._kill_later, job, act.seconds)
            elif not isinstance(act, Hang):
                self._fake.kill([job])

    async def _kill_later(self, job: LiveJob, seconds: float) -> None:
        await trio.sleep(seconds)
        self._fake.kill([job])

    async def _act(self, step: ScriptPoint, job_id: str = "") -> Act | None:
        act = self._backend.take_act(step, job_id)
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


@attrs.frozen
class FakeFixtures:
    """Makes a `BackendFixture` around a fake. It is a model for the factories of other backends."""

    make_backend: Callable[[FakePolicy], FakeBackend] = FakeBackend
    """Returns the backend to check, which is given a policy: a class, or a function."""
    queued: float | None = attrs.field(default=None, kw_only=True)
    """Seconds that each job is QUEUED before it runs; `None`: no job is."""
    at_once: bool = attrs.field(default=False, kw_only=True)
    """Whether jobs that end by themselves have ended when `submit_many` returns."""

    def __call__(self) -> BackendFixture:
        """Return a fixture with a new backend."""
        submissions: Counter[str] = Counter()

        def policy(job: JobSpec, _attempt: int) -> FakeRun:
            behaviour = Behaviour(job.cmd)
            submissions[job.id] += 1
            run = BEHAVIOURS[behaviour]
            if behaviour is Behaviour.BUSY_ONCE and submissions[job.id] == 1:
                return attrs.evolve(run, busy=True)
            at_once = self.at_once and run.duration < math.inf
            return attrs.evolve(run, queued=self.queued, duration=0 if at_once else run.duration)

        backend = self.make_backend(policy)
        return BackendFixture(backend, _make_job, alive=lambda job_id: job_id in backend.running)


def _make_job(behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - see MakeJob
    return JobSpec(name=id, cmd=behaviour.value, timeout=timeout)
