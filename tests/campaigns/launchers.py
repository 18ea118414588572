"""Random programs over random launchers, in virtual time: is each job accounted for once, polled in time, one call at a
time?

A program submits, kills, cancels and waits; its launchers raise, hang, lie, are busy and are slow, in any of their
calls. The virtual seam raises if a launcher has two calls at once, which breaks the backend, and so ends the program.
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

from runtime.backend.legacy import LauncherBusyError
from runtime.backend.legacy.call_batches import BATCH_TIME
from runtime.backend.legacy.poller import MIN_INTERVAL
from runtime.backend.live import LiveJob
from runtime.job import FailureKind, JobCompletionEvent, JobStatus
from runtime.testing.launchers import PASSED, RUNNING, Act, Deed, Script, ScriptedLauncher, scripted
from runtime.testing.virtual import Gate, VirtualAdapter
from tests.backend.legacy.rig import Rig, job, rig
from tests.campaigns import Campaign

CLOSED = Gate()
"""Never opened: who waits for it hangs for ever."""

KILL, POLL, LAUNCH, STALL = 10.0, 20.0, 15.0, 1.0
"""Limits of the adapter, in seconds. Some calls take longer than each of them, some shorter."""

NAMES = [f"job{number}" for number in range(24)]


@attrs.frozen
class Program:
    """What is done, and with what."""

    pool: list[Script]
    """What launchers do; job number n does what the n-th says, modulo their number."""
    deeds: list[tuple[str, float, int]]
    """What is done, a number of seconds, and how many jobs it is done with."""
    close: bool
    """Whether the backend is closed before the end."""
    interval: float
    most: int
    kill_threads: int
    timeout: float


def programs() -> st.SearchStrategy[Program]:
    """Return the strategy for all programs."""
    # An exception of their own each, as launchers raise: one that is raised again keeps what it was raised in before.
    odd: st.SearchStrategy[BaseException] = st.one_of(
        st.builds(SystemExit, st.just("exit")), st.builds(ValueError), st.builds(LauncherBusyError, st.just("full"))
    )
    delays = st.sampled_from([0.0, 0.0, 0.003, 0.5, 2.0, 12.0, 25.0])
    acts = st.one_of(
        st.builds(Act, delay=delays),
        st.builds(Act, delay=delays),
        st.builds(Act, delay=delays, raises=odd),
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
    steady = st.just(Script(poll=[Act(says=RUNNING)]))  # runs until it is ended: it must be polled all the time
    deeds = st.tuples(
        st.sampled_from(["submit", "submit", "kill", "cancel", "wait"]), st.floats(0, 30), st.integers(1, 4)
    )
    return st.builds(
        Program,
        pool=st.lists(st.one_of(hostile, fair, steady), min_size=2, max_size=5),
        deeds=st.lists(deeds, max_size=8).map(lambda some: [("submit", 0.0, 4), *some]),
        close=st.booleans(),
        interval=st.sampled_from([0.0, 1.0, 1.0, 1.0]),
        most=st.sampled_from([0, 1, 3]),
        kill_threads=st.sampled_from([1, 64]),
        timeout=st.sampled_from([2.0, 2.0, 40.0]),
    )


class Watched(VirtualAdapter, overrides={"_stop"}):
    """Notes since when a job is to end: from then on it is not polled any more."""

    stops: dict[str, float]

    def _stop(self, jobs: Iterable[LiveJob], kind: FailureKind, message: str, *, force: bool = False) -> list[LiveJob]:
        jobs = list(jobs)
        for each in jobs:
            self.stops.setdefault(each.id, trio.current_time())
        return super()._stop(jobs, kind, message, force=force)


async def play(program: Program) -> Counter[str]:
    """Play it, and count what happened in it. Raises `AssertionError` if a promise was not kept."""
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
        assert isinstance(it.backend, Watched)
        it.backend.stops = {}

        async def submit(count: int, patience: float) -> None:
            timeout = program.timeout if program.interval else 2.0  # not for ever at a thousand polls a second
            jobs = [
                job(name, timeout=timeout, queue_timeout=timeout) for name, _ in zip(fresh, range(count), strict=False)
            ]
            with trio.move_on_after(patience) as scope:
                accepted.update(dict.fromkeys(await it.backend.submit_many(jobs), 1))
            if scope.cancelled_caught:
                doubtful.update({each.id: 1 for each in jobs})

        for what, seconds, count in program.deeds:
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
    happened["a refusal by a busy one"] = it.backend.statistics().refused
    happened["a wait for a poll"] = windows
    happened["an end"] = sum(isinstance(event, JobCompletionEvent) for event in it.events)
    return happened


HAPPENINGS = (
    "a call that raised",
    "a call that hung",
    "a poll that made no sense",
    "a refusal by a busy one",
    "a kill in the middle of a launch",
    "a kill in the middle of a poll",
    "a kill between two calls",
    "a job that was lost",
    "a job that timed out",
    "a job that passed",
    "a wait for a poll",
    "an end",
)
"""What must happen again and again in any number of programs that is worth the name. Else nothing was seen."""


def what_happened(program: Program, it: Rig, cls: type[ScriptedLauncher]) -> Iterator[str]:
    """Yield what happened, once for each time."""
    assert isinstance(it.backend, Watched)
    for deed, seconds, _held in with_durations(program, cls.trace):
        stop = it.backend.stops.get(deed.job_id, math.inf)
        if deed.step != "kill" and deed.at < stop < deed.at + seconds:
            yield f"a kill in the middle of a {deed.step}"
        elif deed.step == "kill" and deed.at == stop:
            yield "a kill between two calls"
        act = act_of(program, deed, cls.steps(deed.job_id).count(deed.step))
        if act.gate is not None:
            yield "a call that hung"
        elif act.raises is not None:
            yield "a call that raised"
        elif deed.step == "poll" and act.says is None:
            yield "a poll that made no sense"
    for event in it.events:
        if isinstance(event, JobCompletionEvent):
            if event.status is PASSED:
                yield "a job that passed"
            elif event.reason is not None and event.reason.kind is FailureKind.LOST:
                yield "a job that was lost"
            elif event.reason is not None and event.reason.kind is FailureKind.TIMEOUT:
                yield "a job that timed out"


def check_once(it: Rig, accepted: Counter[str], doubtful: Counter[str]) -> None:
    """Each accepted job has one completion; one whose submission was cancelled may have one."""
    ends = Counter(event.job_id for event in it.events if isinstance(event, JobCompletionEvent))
    for name in NAMES:
        assert accepted[name] <= ends[name] <= accepted[name] + doubtful[name], name


def check_calls(cls: type[ScriptedLauncher]) -> None:
    """It is built first, and nothing comes after the kill."""
    for name in NAMES:
        steps = cls.steps(name)
        assert steps[0:1] in ([], ["build"])
        assert steps.count("build") <= 1
        assert "kill" not in steps[:-1], "a call after the kill"


def check_polls(program: Program, it: Rig, cls: type[ScriptedLauncher]) -> int:
    """Between two polls there are at most ⌈live / most⌉ intervals, and the time for which others hold the lane.

    Returns:
        How many such times there were.
    """
    assert isinstance(it.backend, Watched)
    windows = 0
    taken = list(with_durations(program, cls.trace))
    begins = [deed.at for deed, *_ in taken]  # in order
    held_before = [0.0, *itertools.accumulate(0.0 if deed.step == "kill" else held for deed, _, held in taken)]
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for deed, seconds, _held in taken:
        if deed.step in ("launch", "poll"):
            points[deed.job_id].append((deed.at, deed.at + seconds))
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


def with_durations(program: Program, trace: list[Deed]) -> Iterator[tuple[Deed, float, float]]:
    """Yield the calls, how long each took, and how long it held up its lane at most; in seconds."""
    numbers: Counter[tuple[str, str]] = Counter()
    for deed in trace:
        numbers[deed.job_id, deed.step] += 1
        act = act_of(program, deed, numbers[deed.job_id, deed.step])
        seconds = math.inf if act.gate is not None else act.delay
        yield deed, seconds, min(seconds, STALL if deed.step == "poll" else LAUNCH)


def act_of(program: Program, deed: Deed, number: int) -> Act:
    """Return what the script says of the step of a deed, which is the launcher's `number`-th of its kind."""
    acts: list[Act] = getattr(script_of(program, deed.job_id), deed.step)
    return acts[min(number, len(acts)) - 1]


def script_of(program: Program, name: str) -> Script:
    return program.pool[int(name[3:]) % len(program.pool)]


def play_in_virtual_time(program: Program) -> Counter[str]:
    """Play a program from beginning to end, and count what happened in it."""
    return trio.run(play, program, clock=MockClock(autojump_threshold=0))


def run(number: int, count: int) -> str:
    """Play `count` programs that follow from the seed `number`."""
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
    seen = ", ".join(f"{happened[what]} × {what}" for what in HAPPENINGS)
    return f"{played} programs, 0 violations of exactly once, of the bound on polls, of one call at a time; {seen}"


def check_it_saw_something(played: int, happened: Counter[str]) -> None:
    """Raise unless each of `HAPPENINGS` happened once in a hundred programs at least."""
    rare = [what for what in HAPPENINGS if happened[what] < played // 100]
    assert not rare, f"{played} programs, and too rarely was there {', '.join(rare)}: {happened}"


CAMPAIGN = Campaign("launchers", "does each job end once and is it polled in time, whatever launchers do?", 2_000, run)
