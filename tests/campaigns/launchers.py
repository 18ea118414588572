"""Random programs on random launchers, in virtual time. Does each job complete once? Is it polled in time? Does each
launcher have one call at a time?

A program submits, kills, cancels and waits. In any call its launchers raise, hang, return nonsense, are busy or slow.
`VirtualAdapter` raises if a launcher has two calls at once; that breaks the backend, and so ends the program.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import trio
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import LiveJob
from runtime.backend.legacy import LauncherBusyError
from runtime.backend.legacy.call_batches import BATCH_TIME
from runtime.backend.legacy.poller import MIN_INTERVAL
from runtime.job import FailureKind, JobCompletionEvent, JobStatus
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, ScriptedLauncher, TracedCall, scripted
from runtime.testing.virtual import Gate, VirtualAdapter
from tests.backend.legacy.rig import Rig, job, rig
from tests.campaigns import Campaign

CLOSED = Gate()
"""Never opened: a call that waits for it never returns."""

KILL, POLL, LAUNCH, STALL = 10.0, 20.0, 15.0, 1.0
"""Limits of the adapter, in seconds. For each of them, some calls take longer and some shorter."""

NAMES = [f"job{number}" for number in range(24)]


@attrs.frozen
class Program:
    """A random program and its launchers."""

    pool: list[Script]
    """Scripts of launchers. Job number n uses script n, modulo their number."""
    actions: list[tuple[str, float, int]]
    """Each action, a number of seconds, and a number of jobs."""
    close: bool
    """Whether the backend is closed before the end."""
    interval: float
    most: int
    kill_threads: int
    timeout: float


def programs() -> st.SearchStrategy[Program]:
    """Return the strategy for all programs."""
    # `builds`, so that each call raises a new exception: one that is raised again keeps its old traceback and context.
    errors: st.SearchStrategy[BaseException] = st.one_of(
        st.builds(SystemExit, st.just("exit")), st.builds(ValueError), st.builds(LauncherBusyError, st.just("full"))
    )
    delays = st.sampled_from([0.0, 0.0, 0.003, 0.5, 2.0, 12.0, 25.0])
    acts = st.one_of(
        st.builds(Act, delay=delays),
        st.builds(Act, delay=delays),
        st.builds(Act, delay=delays, raises=errors),
        st.just(Act(gate=CLOSED)),
    )
    mild = st.builds(Act, delay=st.sampled_from([0.0, 0.003, 0.5]))
    statuses = st.sampled_from([RUNNING, RUNNING, JobStatus.QUEUED, PASSED, JobStatus.FAILED, JobStatus.KILLED, None])
    says = st.builds(Act, delay=delays, says=statuses)
    hostile = st.builds(
        Script,
        build=st.lists(st.one_of(mild, mild, mild, acts), min_size=1, max_size=2),
        launch=st.lists(st.one_of(mild, acts), min_size=1, max_size=2),
        poll=st.lists(st.one_of(says, says, acts), min_size=1, max_size=4),
        kill=st.lists(acts, min_size=1, max_size=1),
    )
    ends = st.builds(Act, says=st.sampled_from([PASSED, JobStatus.FAILED]))
    fair = st.builds(
        lambda launch, waits, end, kill: Script(launch=[launch], poll=[*waits, end], kill=[kill]),
        mild,
        st.lists(st.builds(Act, says=st.sampled_from([RUNNING, JobStatus.QUEUED])), max_size=2),
        ends,
        mild,
    )
    steady = st.just(Script(poll=[Act(says=RUNNING)]))  # runs until it is killed, so it must be polled all the time
    actions = st.tuples(
        st.sampled_from(["submit", "submit", "kill", "cancel", "wait"]), st.floats(0, 30), st.integers(1, 4)
    )
    return st.builds(
        Program,
        pool=st.lists(st.one_of(hostile, fair, steady), min_size=2, max_size=5),
        actions=st.lists(actions, max_size=8).map(lambda some: [("submit", 0.0, 4), *some]),
        close=st.booleans(),
        interval=st.sampled_from([0.0, 1.0, 1.0, 1.0]),
        most=st.sampled_from([0, 1, 3]),
        kill_threads=st.sampled_from([1, 64]),
        timeout=st.sampled_from([2.0, 2.0, 40.0]),
    )


class Watched(VirtualAdapter):
    """Records the time at which each job is first stopped. From then on it need not be polled."""

    def __init__(self, launcher_cls: type, **options: Any) -> None:
        super().__init__(launcher_cls, **options)
        self.stops: dict[str, float] = {}

    def make_driver(self, control: Control) -> Driver:
        stop = control.stop

        def recorded(jobs: Iterable[LiveJob], kind: FailureKind, message: str, *, force: bool = False) -> list[LiveJob]:
            jobs = list(jobs)
            for each in jobs:
                self.stops.setdefault(each.id, trio.current_time())
            return stop(jobs, kind, message, force=force)

        control.stop = recorded  # type: ignore[method-assign]  # a driver is not told of each stop
        return super().make_driver(control)


async def play(program: Program) -> Counter[str]:
    """Run the program, and return how often each kind of event happened. Raises `AssertionError` at a violation."""
    accepted: Counter[str] = Counter()
    doubtful: Counter[str] = Counter()
    fresh = iter(NAMES)
    cls = scripted(lambda job: script_of(program, job.id))
    options: dict[str, Any] = {
        "poll_interval": program.interval,
        "max_polls_per_interval": program.most,
        "kill_threads": program.kill_threads,
        "stall_timeout": STALL,
        "kill_timeout": KILL,
        "poll_timeout": POLL,
        "launch_timeout": LAUNCH,
    }
    async with rig(cls, Watched, **options) as it, trio.open_nursery() as nursery:

        async def submit(count: int, seconds: float) -> None:
            timeout = (
                program.timeout if program.interval else 2.0
            )  # shorter without an interval: there are a thousand polls a second
            jobs = [
                job(name, timeout=timeout, queue_timeout=timeout) for name, _ in zip(fresh, range(count), strict=False)
            ]
            with trio.move_on_after(seconds) as scope:
                accepted.update(dict.fromkeys(await it.backend.submit_many(jobs), 1))
            if scope.cancelled_caught:
                doubtful.update({each.id: 1 for each in jobs})

        for what, seconds, count in program.actions:
            if what == "submit":
                nursery.start_soon(submit, count, math.inf)
            elif what == "cancel":
                nursery.start_soon(submit, count, seconds)
            elif what == "kill":
                nursery.start_soon(it.backend.kill_many, NAMES[:: 5 - count])
            await trio.sleep(seconds if what == "wait" else 0.1)
        if program.close:
            it.backend.close()
    assert trio.current_time() < 4000
    check_once(it, accepted, doubtful)
    check_calls(cls)
    windows = check_polls(program, it, cls)
    happened = Counter(what_happened(program, it, cls))
    happened["a refusal by a busy launcher"] = it.backend.statistics().refused
    happened["a wait for a poll"] = windows
    happened["an end"] = sum(isinstance(event, JobCompletionEvent) for event in it.events)
    return happened


EXPECTED = (
    "a call that raised",
    "a call that hung",
    "a poll that returned no status",
    "a refusal by a busy launcher",
    "a kill in the middle of a launch",
    "a kill in the middle of a poll",
    "a kill between two calls",
    "a job that was lost",
    "a job that timed out",
    "a job that passed",
    "a wait for a poll",
    "an end",
)
"""Events that must happen often enough over many programs. Otherwise the campaign would test nothing."""


def what_happened(program: Program, it: Rig, cls: type[ScriptedLauncher]) -> Iterator[str]:
    """Yield each event that happened, as often as it happened."""
    assert isinstance(it.backend, Watched)
    for call, seconds, _held in with_durations(program, cls.trace):
        stop = it.backend.stops.get(call.job_id, math.inf)
        if call.step != "kill" and call.at < stop < call.at + seconds:
            yield f"a kill in the middle of a {call.step}"
        elif call.step == "kill" and call.at == stop:
            yield "a kill between two calls"
        act = act_of(program, call, cls.steps(call.job_id).count(call.step))
        if act.gate is not None:
            yield "a call that hung"
        elif act.raises is not None:
            yield "a call that raised"
        elif call.step == "poll" and act.says is None:
            yield "a poll that returned no status"
    for event in it.events:
        if isinstance(event, JobCompletionEvent):
            if event.status is PASSED:
                yield "a job that passed"
            elif event.reason is not None and event.reason.kind is FailureKind.LOST:
                yield "a job that was lost"
            elif event.reason is not None and event.reason.kind is FailureKind.TIMEOUT:
                yield "a job that timed out"


def check_once(it: Rig, accepted: Counter[str], doubtful: Counter[str]) -> None:
    """Assert that each accepted job has one completion. A job whose submission was cancelled may have one."""
    ends = Counter(event.job_id for event in it.events if isinstance(event, JobCompletionEvent))
    for name in NAMES:
        assert accepted[name] <= ends[name] <= accepted[name] + doubtful[name], name


def check_calls(cls: type[ScriptedLauncher]) -> None:
    """Assert that the first call of a launcher is its construction, and that no call follows its kill."""
    for name in NAMES:
        steps = cls.steps(name)
        assert steps[0:1] in ([], ["build"])
        assert steps.count("build") <= 1
        assert "kill" not in steps[:-1], "a call after the kill"


def check_polls(program: Program, it: Rig, cls: type[ScriptedLauncher]) -> int:
    """Assert that two polls are at most ⌈live / most⌉ intervals apart, plus the time that other calls hold the thread.

    Returns:
        The number of checked pairs of polls.
    """
    assert isinstance(it.backend, Watched)
    windows = 0
    taken = list(with_durations(program, cls.trace))
    begins = [call.at for call, *_ in taken]  # in order
    held_before = [0.0, *itertools.accumulate(0.0 if call.step == "kill" else held for call, _, held in taken)]
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for call, seconds, _held in taken:
        if call.step in ("launch", "poll"):
            points[call.job_id].append((call.at, call.at + seconds))
    ends = {event.job_id: event for event in it.events if isinstance(event, JobCompletionEvent)}
    for name, end in ends.items():
        over = min(it.backend.stops.get(name, math.inf), end.ended)
        mine = [point for point in points[name] if point[0] < over]
        for (began, returned), (next_, _) in itertools.pairwise([*mine, (over, over)]):
            window = max(next_ - returned, 0)
            live = sum(e.submitted <= next_ and e.ended >= began for e in ends.values())
            ticks = math.ceil(live / program.most) if program.most else 1
            held = held_before[bisect.bisect_left(begins, next_)] - held_before[bisect.bisect_left(begins, began)]
            bound = ticks * max(program.interval, MIN_INTERVAL) + held + BATCH_TIME
            assert window <= bound, f"{name} was not polled between {returned} and {next_}; at most {bound} s may pass"
            windows += 1
    return windows


def with_durations(program: Program, trace: list[TracedCall]) -> Iterator[tuple[TracedCall, float, float]]:
    """Yield each call, its duration, and the longest time for which it can hold its launcher thread, in seconds."""
    numbers: Counter[tuple[str, str]] = Counter()
    for call in trace:
        numbers[call.job_id, call.step] += 1
        act = act_of(program, call, numbers[call.job_id, call.step])
        seconds = math.inf if act.gate is not None else act.delay
        yield call, seconds, min(seconds, STALL if call.step == "poll" else LAUNCH)


def act_of(program: Program, call: TracedCall, number: int) -> Act:
    """Return the act of a call, which is the launcher's call number `number` of its step."""
    acts: list[Act] = getattr(script_of(program, call.job_id), call.step)
    return acts[min(number, len(acts)) - 1]


def script_of(program: Program, name: str) -> Script:
    return program.pool[int(name[3:]) % len(program.pool)]


def play_in_virtual_time(program: Program) -> Counter[str]:
    """Run a program under a virtual clock, and return how often each kind of event happened."""
    return trio.run(play, program, clock=MockClock(autojump_threshold=0))


def run(number: int, count: int) -> str:
    """Run `count` programs, generated from the seed `number`."""
    played = 0
    happened = Counter[str]()

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(programs())
    def all_programs(program: Program) -> None:
        nonlocal played
        played += 1
        happened.update(play_in_virtual_time(program))

    all_programs()
    check_it_saw_something(played, happened)
    seen = ", ".join(f"{happened[what]} × {what}" for what in EXPECTED)
    return f"{played} programs, 0 violations (exactly one completion, polls in time, one call at a time); {seen}"


def check_it_saw_something(played: int, happened: Counter[str]) -> None:
    """Raise unless each of `EXPECTED` happened at least once in a hundred programs."""
    rare = [what for what in EXPECTED if happened[what] < played // 100]
    assert not rare, f"{played} programs; too rare: {', '.join(rare)}; {happened}"


CAMPAIGN = Campaign("launchers", "does each job end once and is it polled in time, whatever launchers do?", 2_000, run)
