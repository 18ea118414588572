"""Random programs on the base of all backends, in virtual time. Is each accepted job accounted for exactly once?

A program is one or two tasks that submit, kill, wait, close and drop the receiver. The backend's launches and kills are
slow or hang; the receiver is quick, slow or gone; the body ends normally, by an exception or by a cancel.
"""

from __future__ import annotations

import math
from collections import Counter

import attrs
import trio
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from runtime.backend.contract.backend import DRAIN_TIMEOUT
from runtime.backend.contract.open_backend import BROKEN_DEADLINE, TEARDOWN_DEADLINE
from runtime.errors import BackendBrokenError, BackendClosedError, DuplicateJobError
from runtime.job import EventBatch, FailureKind, JobCompletionEvent, JobHandle, JobStatus
from runtime.job.protocol import Specification
from runtime.testing.backends import Act, Delay, FakeFixtures, Hang, Raise, Script, ScriptedBackend, ScriptPoint
from runtime.testing.fixture import Behaviour
from runtime.testing.history import History
from tests.campaigns import Campaign

NAMES = ("a", "b", "c", "d")


class BugError(Exception):
    """Raised by the backend, as a bug would be."""


class BodyError(Exception):
    """Raised by the body of the block."""


@attrs.frozen
class Submit:
    jobs: tuple[tuple[str, Behaviour], ...]
    timeout: float | None


@attrs.frozen
class Kill:
    names: tuple[str, ...]
    by_handle: bool
    timeout: float | None


@attrs.frozen
class Wait:
    seconds: float


@attrs.frozen
class Drain:
    timeout: float


@attrs.frozen
class Close:
    pass


@attrs.frozen
class DropReceiver:
    pass


Op = Submit | Kill | Wait | Drain | Close | DropReceiver

STATUSES = {
    Behaviour.PASS: {JobStatus.PASSED, JobStatus.KILLED},
    Behaviour.FAIL: {JobStatus.FAILED, JobStatus.KILLED},
}
"""The statuses with which a job may end. Other behaviours are always KILLED, except `BUSY_ONCE`: see `check_status`."""


@attrs.frozen
class Scenario:
    """A random program, its backend and its receiver."""

    tasks: tuple[tuple[Op, ...], ...]
    end: str
    """How the body ends: ``normal``, ``exception`` or ``cancel``."""
    buffer: float
    reader: float | None
    """Seconds that the receiver takes for each batch; `None`: it never reads."""
    limit: int
    """`max_parallelism`; 0: no limit."""
    queued: float | None
    script: tuple[tuple[ScriptPoint, Act], ...]


def scenarios() -> st.SearchStrategy[Scenario]:
    """Return the strategy for all scenarios."""
    timeout = st.none() | st.sampled_from((0.0, 0.3, 1.0))
    job = st.tuples(st.sampled_from(NAMES), st.sampled_from(Behaviour))
    jobs = st.lists(job, min_size=2, max_size=4, unique_by=lambda pair: pair[0]).map(tuple)
    maybe_twice = st.lists(job, max_size=3).map(tuple)
    ops = st.one_of(
        st.builds(Submit, jobs, st.none()),
        st.builds(Submit, jobs, timeout),
        st.builds(Submit, maybe_twice, timeout),
        st.builds(Kill, st.lists(st.sampled_from(NAMES), max_size=3).map(tuple), st.booleans(), timeout),
        st.builds(Wait, st.sampled_from((0.0, 0.1, 0.5, 1.0, 7.0))),
        st.builds(Drain, st.sampled_from((0.0, 1.0, 40.0))),
        st.just(Close()),
        st.just(DropReceiver()),
    )
    acts = st.sampled_from((Delay(0.0), Delay(0.5), Hang()))
    some = st.dictionaries(
        st.sampled_from((ScriptPoint.LAUNCH, ScriptPoint.KILL, ScriptPoint.TEARDOWN)), acts, max_size=2
    )
    none: dict[ScriptPoint, Act] = {}
    steps = st.just(none) | some
    broken = st.sampled_from(
        (None,) * 8 + (ScriptPoint.LAUNCH, ScriptPoint.KILL, ScriptPoint.SERVE, ScriptPoint.TEARDOWN)
    )

    def script(acts: dict[ScriptPoint, Act], bug: ScriptPoint | None) -> tuple[tuple[ScriptPoint, Act], ...]:
        return tuple((acts | ({} if bug is None else {bug: Raise(BugError())})).items())

    return st.builds(
        Scenario,
        tasks=st.lists(st.lists(ops, min_size=1, max_size=6).map(tuple), min_size=1, max_size=2).map(tuple),
        end=st.sampled_from(("normal", "exception", "cancel")),
        buffer=st.sampled_from((0, 1, math.inf)),
        reader=st.sampled_from((0.0, 0.0, 0.9, None)),
        limit=st.sampled_from((0, 0, 1, 3)),
        queued=st.sampled_from((None, 0.5)),
        script=st.builds(script, steps, broken),
    )


class Player:
    """Runs one scenario, and checks it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        script: Script = dict(scenario.script)
        fixture = FakeFixtures(
            lambda policy: ScriptedBackend(policy, max_parallelism=scenario.limit, script=script),
            queued=scenario.queued,
        )()
        assert isinstance(fixture.backend, ScriptedBackend)
        self.make = fixture.job
        self.backend = fixture.backend
        self.history = History()
        self.attempts: Counter[str] = Counter()
        self.behaviours: dict[tuple[str, int], Behaviour] = {}
        self.handles: dict[str, JobHandle] = {}
        self.send, self.receive = trio.open_memory_channel[EventBatch](scenario.buffer)
        self.dropped = False

    async def play(self) -> None:
        """Run the scenario. Raises `AssertionError` if a promise is not kept."""
        scope = trio.CancelScope()
        left_at = math.inf
        async with trio.open_nursery() as nursery:
            if self.scenario.reader is not None:
                nursery.start_soon(self.read, self.scenario.reader)
            with self.send, scope:
                # A block without a reader waits until it is cancelled.
                scope.deadline = trio.current_time() + 1000
                try:
                    async with self.backend.open(self.send):
                        try:
                            await self.body(scope)
                        finally:
                            left_at = trio.current_time()
                except (BodyError, BugError, trio.BrokenResourceError):
                    pass
                except BackendBrokenError:
                    assert (ScriptPoint.TEARDOWN, Hang()) in self.scenario.script
            nursery.cancel_scope.cancel()
        if self.scenario.end != "normal":
            assert trio.current_time() <= max(left_at, 0) + 31 + BROKEN_DEADLINE + TEARDOWN_DEADLINE + self.slack()
        self.take_what_is_buffered()
        self.check()

    def slack(self) -> float:
        """Return the longest time of delivery, in seconds: the drain timeout starts again with each batch."""
        return DRAIN_TIMEOUT * (2 + len(self.history.batches))

    async def body(self, scope: trio.CancelScope) -> None:
        async with trio.open_nursery() as tasks:
            for ops in self.scenario.tasks:
                tasks.start_soon(self.run, ops)
        if self.scenario.end == "exception":
            raise BodyError
        if self.scenario.end == "cancel":
            scope.cancel()

    async def run(self, ops: tuple[Op, ...]) -> None:
        for op in ops:
            await self.do(op)

    async def do(self, op: Op) -> None:
        if isinstance(op, Submit):
            with trio.move_on_after(math.inf if op.timeout is None else op.timeout):
                await self.submit(op)
        elif isinstance(op, Kill):
            targets = [self.handles.get(name, name) if op.by_handle else name for name in op.names]
            with trio.move_on_after(math.inf if op.timeout is None else op.timeout):
                await self.backend.kill_many(targets)
        elif isinstance(op, Wait):
            await trio.sleep(op.seconds)
        elif isinstance(op, Drain):
            with trio.move_on_after(op.timeout):
                await self.backend.drain()
        elif isinstance(op, Close):
            self.backend.close()
        elif not self.dropped:
            self.take_what_is_buffered()
            self.receive.close()
            self.dropped = True

    async def submit(self, op: Submit) -> None:
        jobs: list[Specification] = []
        attempts: dict[str, int] = {}
        for name, behaviour in op.jobs:
            self.attempts[name] += 1
            attempts[name] = self.attempts[name]
            self.behaviours[name, attempts[name]] = behaviour
            jobs.append(self.make(behaviour, name))
        try:
            handles = await self.backend.submit_many(jobs, attempts=attempts)
        except (DuplicateJobError, BackendClosedError):
            return
        except trio.Cancelled:
            for name, attempt in attempts.items():
                self.history.doubt([name], attempt)
            raise
        self.history.accept(handles.values())
        self.handles |= handles

    async def read(self, seconds: float) -> None:
        with trio.CancelScope(shield=True):
            try:
                async for batch in self.receive:
                    self.history.take(batch)
                    await trio.sleep(seconds)
            except trio.ClosedResourceError:
                pass

    def take_what_is_buffered(self) -> None:
        while True:
            try:
                self.history.take(self.receive.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                return

    def check(self) -> None:
        self.history.check(undelivered=self.backend.undelivered)
        assert self.backend.statistics().live == 0
        if self.scenario.reader is not None and not self.dropped:
            assert self.backend.undelivered == 0, "undelivered, though the receiver is quicker than the drain timeout"
        for event in self.history.completions:
            self.check_status(event)

    def check_status(self, event: JobCompletionEvent) -> None:
        behaviour = self.behaviours[event.job_id, event.attempt]
        # A job that was busy once passes at a later submission.
        allowed = STATUSES.get(behaviour, {JobStatus.KILLED})
        if behaviour is Behaviour.BUSY_ONCE:
            allowed = {JobStatus.PASSED, JobStatus.KILLED}
        assert event.status in allowed, event
        if event.reason is not None and event.reason.kind is FailureKind.LOST:
            assert any(isinstance(act, Hang | Raise) for _, act in self.scenario.script), event


def play(scenario: Scenario) -> None:
    """Run a scenario in virtual time."""

    async def main() -> None:
        await Player(scenario).play()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def run(number: int, count: int) -> str:
    """Run `count` scenarios, generated from the seed `number`."""
    played = 0

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None)
    @given(scenarios())
    def programs(scenario: Scenario) -> None:
        nonlocal played
        played += 1
        play(scenario)

    programs()
    return f"{played} programs, 0 violations"


CAMPAIGN = Campaign("contract", "is each accepted job accounted for exactly once, whatever happens?", 20_000, run)
