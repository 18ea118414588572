"""The adapter in virtual time, promise by promise."""

from __future__ import annotations

import gc
import itertools
import math
import sys
import weakref
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from runtime.backend.legacy import LauncherBusyError, LauncherError, LegacyLauncherAdapter, drops, hung_calls
from runtime.backend.legacy.entry import Entry
from runtime.backend.legacy.poller import FIRST_TICK, Poller
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobStatus
from runtime.scheduler.run import run_jobs
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, ScriptedLauncher, raises, says, scripted
from runtime.testing.virtual import Gate, VirtualAdapter
from tests.backend.legacy.rig import job, rig

QUEUED, FAILED, KILLED = JobStatus.QUEUED, JobStatus.FAILED, JobStatus.KILLED
ENDLESS = Script(poll=[says(RUNNING)])


async def polled(cls: type[ScriptedLauncher], name: str, times: int = 1) -> None:
    """Wait until the job was polled so often."""
    while len(cls.times(name, "poll")) < times:  # noqa: ASYNC110 - a launcher cannot set an event of trio's
        await trio.sleep(0.001)


# ---------------------------------------------------------------------- construction


class Bare:
    def __init__(self, job: Any) -> None:
        self.job = job

    def launch(self) -> None: ...

    def poll(self) -> JobStatus:
        return PASSED

    def kill(self) -> None: ...


class BareLauncher(Bare): ...


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (Bare, "bare"),
        (BareLauncher, "bare"),
        (type("Launcher", (Bare,), {}), "legacy"),
        (type("X", (Bare,), {"variant": "lsf"}), "lsf"),
        (type("NcLauncher", (Bare,), {"variant": None}), "nc"),
    ],
)
def test_its_name_is_the_class_s_own(cls: type, name: str) -> None:
    assert LegacyLauncherAdapter(cls).name == name
    assert LegacyLauncherAdapter(cls, name="mine").name == "mine"


@pytest.mark.parametrize("no_limit", [sys.maxsize, 0, None])
def test_no_limit_in_the_class(no_limit: int | None) -> None:
    made = LegacyLauncherAdapter(scripted(max_parallel=no_limit, max_poll=no_limit, poll_freq=0))
    assert made.max_parallelism is None
    assert made.max_polls_per_interval is None
    assert made.poll_interval == 0


def test_limits_of_the_class_and_of_the_constructor() -> None:
    cls = scripted(max_parallel=7, max_poll=8, poll_freq=2.5)
    made = LegacyLauncherAdapter(cls)
    assert (made.max_parallelism, made.max_polls_per_interval, made.poll_interval) == (7, 8, 2.5)
    made = LegacyLauncherAdapter(cls, max_parallelism=0, max_polls_per_interval=0, poll_interval=0)
    assert (made.max_parallelism, made.max_polls_per_interval, made.poll_interval) == (None, None, 0)
    made = LegacyLauncherAdapter(Bare)
    assert (made.max_parallelism, made.max_polls_per_interval, made.poll_interval) == (None, None, 1)


NUMBERS = (-1, math.nan, "4", True)


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("attribute", ["max_parallel", "max_poll", "poll_freq"])
def test_a17_a_class_s_limit_that_is_none(attribute: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"ScriptedLauncher\.{attribute} is .*expected"):
        LegacyLauncherAdapter(scripted(**{attribute: value}))


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize(
    "argument",
    [
        "poll_interval",
        "max_polls_per_interval",
        "max_parallelism",
        "kill_threads",
        "stall_timeout",
        "launch_timeout",
        "poll_timeout",
        "kill_timeout",
        "poll_error_limit",
    ],
)
def test_a17_an_argument_that_is_no_limit(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"LegacyLauncherAdapter: {argument} is .*expected"):
        LegacyLauncherAdapter(Bare, **{argument: value})


@pytest.mark.parametrize("given", [SimpleNamespace(launch=1, poll=1, kill=1), int, "x", lambda job: job])
def test_what_is_no_launcher_class(given: Any) -> None:
    with pytest.raises(TypeError, match="expected a class with launch"):
        LegacyLauncherAdapter(given)


def test_constructing_one_does_nothing() -> None:
    cls = scripted()
    LegacyLauncherAdapter(cls)
    assert cls.trace == []


@pytest.mark.parametrize("count", [2, 20, 300])
async def test_all_slots_are_filled_before_the_first_tick_of_polls(count: int, autojump_clock: MockClock) -> None:
    cls = scripted({f"j{number}": Script(launch=[Act(delay=0.003)]) for number in range(count)}, poll_freq=0)
    async with rig(cls) as it:
        await it.submit(*(f"j{number}" for number in range(count)))
    steps = [deed.step for deed in cls.trace if deed.step != "build"]
    assert steps == ["launch"] * count + ["poll"] * count


async def test_launches_that_take_long_hold_the_first_tick_up_for_a_second(autojump_clock: MockClock) -> None:
    slow = {f"j{number}": Script(launch=[Act(delay=0.3)]) for number in range(10)}
    cls = scripted(slow, poll_freq=0)
    async with rig(cls) as it:
        await it.submit(*slow)
    steps = [deed.step for deed in cls.trace if deed.step != "build"]
    before = steps.index("poll")
    assert steps.count("launch") == 10
    assert FIRST_TICK <= 0.3 * before < FIRST_TICK + 1


async def test_it_can_be_opened_again_and_keeps_nothing(autojump_clock: MockClock) -> None:
    cls = scripted({"b": Script(launch=[raises(LauncherBusyError()), Act()])})
    backend, spec = VirtualAdapter(cls), job("b")
    for _ in range(2):
        async with rig(cls, lambda _: backend) as it:
            assert await it.backend.submit(spec) is None
            await it.submit("a")
        assert it.end("a").status is PASSED
    assert cls.steps("b") == ["build", "launch"] * 2, "no launcher of the first block serves the second"


# ---------------------------------------------------------------------- launching


async def test_a_submission_builds_all_launchers_first_and_launches_in_order(autojump_clock: MockClock) -> None:
    cls = scripted()
    async with rig(cls) as it:
        assert list(await it.submit("c", "a", "b")) == ["c", "a", "b"]
    done = [(deed.step, deed.job_id) for deed in cls.trace]
    assert done[:6] == [("build", n) for n in "cab"] + [("launch", n) for n in "cab"]
    assert sorted(done[6:]) == [("poll", n) for n in "abc"]
    assert [it.end(n).status for n in "abc"] == [PASSED] * 3


class ForeignError(Exception): ...


ForeignError.__name__ = ForeignError.__qualname__ = "LauncherError"


@pytest.mark.parametrize("step", ["build", "launch"])
@pytest.mark.parametrize(
    "error",
    [
        LauncherError("no such queue"),
        ForeignError("no such queue"),
        OSError(13, "no such queue"),
        SystemExit("no such queue"),
        KeyboardInterrupt("no such queue"),
        BaseExceptionGroup("no such queue", [SystemExit()]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a1_a3_a_launch_that_raises_anything_costs_its_own_job_only(
    step: str, error: BaseException, autojump_clock: MockClock
) -> None:
    bad = Script(build=[raises(error)]) if step == "build" else Script(launch=[raises(error)])
    cls = scripted({"bad": bad})
    async with rig(cls) as it:
        assert set(await it.submit("a", "bad", "z")) == {"a", "bad", "z"}
        assert it.backend.statistics().live == 2
    assert (it.end("bad").status, it.kind("bad")) == (KILLED, FailureKind.LAUNCH_ERROR)
    assert "no such queue" in it.text("bad")
    assert type(error).__name__ in it.text("bad")
    assert cls.steps("bad") == ["build", "launch"][: 1 if step == "build" else 2]
    assert [it.end(name).status for name in "az"] == [PASSED] * 2


async def test_a_busy_launcher_is_kept_and_launched_again(autojump_clock: MockClock) -> None:
    busy = type("Full", (type("LauncherBusyError", (Exception,), {}),), {})  # known by a name in its MRO
    cls = scripted({"b": Script(launch=[raises(busy("full")), raises(busy("full")), Act()])})
    spec = job("b")
    async with rig(cls) as it:
        assert await it.backend.submit(spec) is None
        assert it.backend.statistics().live == 0
        assert await it.backend.submit(spec) is None
        assert await it.backend.submit(spec, attempt=3) is not None
    assert cls.steps("b") == ["build", "launch", "launch", "launch", "poll"]
    assert len({id(deed.launcher) for deed in cls.trace}) == 1
    assert it.end("b").attempt == 3


async def test_a_busy_launcher_serves_no_other_job_of_that_id(autojump_clock: MockClock) -> None:
    cls = scripted({"b": Script(launch=[raises(LauncherBusyError()), Act()])})
    async with rig(cls) as it:
        await it.submit("b")
        await it.submit("b")  # another specification
        await it.submit("b")
    assert cls.steps("b") == ["build", "launch"] * 3


async def test_a_busy_launcher_is_dropped_when_its_job_is_killed(autojump_clock: MockClock) -> None:
    cls = scripted({"b": Script(launch=[raises(LauncherBusyError()), Act()])})
    spec = job("b")
    async with rig(cls) as it:
        await it.backend.submit(spec)
        await it.backend.kill("b")
        await it.backend.submit(spec)
    assert cls.steps("b") == ["build", "launch", "build", "launch"]
    assert it.ends("b") == []


async def test_a_constructor_that_is_busy_refuses_and_leaves_nothing_to_keep(autojump_clock: MockClock) -> None:
    cls = scripted({"b": Script(build=[raises(LauncherBusyError())])})
    spec = job("b")
    async with rig(cls) as it:
        assert await it.backend.submit(spec) is None
        assert await it.backend.submit(spec) is None
    assert cls.steps("b") == ["build", "build"]


async def test_a4_a_launch_past_its_deadline_is_lost_and_killed_if_it_returns_after_all(
    autojump_clock: MockClock,
) -> None:
    gate = Gate()
    cls = scripted({"h": Script(launch=[Act(gate=gate)])})
    async with rig(cls, launch_timeout=50) as it:
        assert set(await it.submit("h", "next")) == {"h", "next"}
        assert trio.current_time() == 50
        await it.backend.drain()
        assert cls.steps("h") == ["build", "launch"]
        gate.open()
        await trio.sleep(1)
        assert cls.steps("h") == ["build", "launch", "kill"]
    assert (it.kind("h"), it.end("h").ended) == (FailureKind.LOST, 50)
    assert "launch timed out after 50 s, state unknown" in it.text("h")
    assert it.end("next").status is PASSED


async def test_a_constructor_past_its_deadline_is_a_launch_past_its_deadline(autojump_clock: MockClock) -> None:
    gate = Gate()
    cls = scripted({"h": Script(build=[Act(gate=gate)])})
    async with rig(cls, launch_timeout=50) as it:
        await it.submit("h")
        gate.open()
        await trio.sleep(1)
    assert it.kind("h") is FailureKind.LOST
    assert cls.steps("h") == ["build"]  # nothing was launched that could be killed


async def test_an_interactive_launch_has_no_deadline(autojump_clock: MockClock) -> None:
    cls = scripted({"i": Script(launch=[Act(delay=10_000)])}, supports_interactive=True)
    async with rig(cls, launch_timeout=50) as it:
        await it.submit("i", interactive=True)
    assert it.end("i").status is PASSED
    assert it.end("i").ended == 10_000


async def test_a_launcher_that_cannot_be_interactive(autojump_clock: MockClock) -> None:
    cls = scripted()
    async with rig(cls) as it:
        await it.submit("i", interactive=True)
    assert it.kind("i") is FailureKind.LAUNCH_ERROR
    assert cls.trace == []
    assert LegacyLauncherAdapter(type("NcLauncher", (Bare,), {})).supports_interactive


async def test_hooks_are_the_launcher_s_business(autojump_clock: MockClock) -> None:
    called: list[str] = []
    cls = scripted()
    async with rig(cls) as it:
        await it.submit("a", pre_launch=lambda: called.append("pre"), post_finish=lambda _: called.append("post"))
    assert called == []


async def test_a_foreign_job_goes_through_untouched_and_a_view_sees_all(autojump_clock: MockClock) -> None:
    foreign = SimpleNamespace(id="f", timeout_secs=None)
    seen: list[object] = []

    class Cls(Bare):
        def __init__(self, job: Any) -> None:
            seen.append(job)

    async with rig(Cls) as it:
        await it.backend.submit(foreign)
    assert seen == [foreign]
    async with rig(Cls, view=lambda job: ("shown", job.id)) as it:
        await it.backend.submit(foreign)
    assert seen[1:] == [("shown", "f")]


# ---------------------------------------------------------------------- polling


async def test_a5_polls_that_fail_are_tried_again(autojump_clock: MockClock) -> None:
    hiccup = raises(OSError("stale file handle"))
    cls = scripted({"a": Script(poll=[hiccup, hiccup, says(RUNNING), hiccup, hiccup, says(PASSED)])})
    async with rig(cls, poll_error_limit=3) as it:
        await it.submit("a")
    assert it.end("a").status is PASSED
    assert cls.steps("a").count("poll") == 6


async def test_a6_polls_that_fail_for_ever_kill_first_and_complete_after_with_the_text(
    autojump_clock: MockClock,
) -> None:
    cls = scripted({"a": Script(poll=[raises(LauncherError("lost the socket"))], kill=[Act(delay=5)])}, poll_freq=1)
    async with rig(cls, poll_error_limit=3) as it:
        await it.submit("a", "other")
    assert cls.steps("a") == ["build", "launch", "poll", "poll", "poll", "kill"]
    assert cls.times("a", "kill") == [2]
    assert it.end("a").ended == 7
    assert (it.end("a").status, it.kind("a")) == (KILLED, FailureKind.LAUNCHER_ERROR)
    assert it.text("a").endswith("poll() raised 3 times in a row, the last time LauncherError: lost the socket")
    assert it.end("other").status is PASSED


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), KeyboardInterrupt()], ids=repr)
async def test_a_poll_that_raises_anything_costs_its_own_job_only(
    error: BaseException, autojump_clock: MockClock
) -> None:
    cls = scripted({"a": Script(poll=[raises(error)]), "b": Script(poll=[says(RUNNING)] * 9 + [says(PASSED)])})
    async with rig(cls) as it:
        await it.submit("a", "b")
    assert it.kind("a") is FailureKind.LAUNCHER_ERROR
    assert type(error).__name__ in it.text("a")
    assert it.end("b").status is PASSED


@pytest.mark.parametrize("answer", [None, "PASSED", 0, True, SimpleNamespace(name="DONE"), SimpleNamespace(name=3)])
async def test_a8_a_poll_that_returns_no_status_is_an_error_that_names_the_class(
    answer: object, autojump_clock: MockClock
) -> None:
    cls = scripted({"a": Script(poll=[says(answer)])})
    async with rig(cls) as it:
        await it.submit("a")
    assert it.kind("a") is FailureKind.LAUNCHER_ERROR
    assert f"ScriptedLauncher.poll() returned {answer!r}"[:40] in it.text("a")
    assert cls.steps("a")[-1] == "kill"


async def test_a7_a_poll_that_never_returns_stalls_and_is_then_abandoned(autojump_clock: MockClock) -> None:
    gate = Gate()
    cls = scripted({"hung": Script(poll=[says(RUNNING, gate=gate)]), "ok": ENDLESS}, poll_freq=1)
    async with rig(cls, stall_timeout=2, poll_timeout=60) as it:
        await it.submit("hung", "ok", timeout=100)
        await it.backend.drain()
        polls = cls.times("ok", "poll")
        # The first poll waits for the hung one; afterwards only the interval separates polls.
        assert polls[0] == 2
        assert {round(b - a, 6) for a, b in itertools.pairwise(polls)} == {1.0}
        assert cls.steps("hung") == ["build", "launch", "poll"]
        gate.open()
        await trio.sleep(1)
        assert cls.steps("hung") == ["build", "launch", "poll", "kill"]
    assert (it.kind("hung"), it.end("hung").ended) == (FailureKind.LOST, 60)
    assert "poll() timed out after 60 s, state unknown" in it.text("hung")
    assert it.kind("ok") is FailureKind.TIMEOUT


async def test_a_slow_poll_that_returns_in_time_counts(autojump_clock: MockClock) -> None:
    cls = scripted({"slow": Script(poll=[says(RUNNING, delay=30), says(PASSED, delay=30)])}, poll_freq=1)
    async with rig(cls, stall_timeout=1, poll_timeout=60) as it:
        await it.submit("slow")
    assert it.end("slow").status is PASSED
    assert cls.times("slow", "poll") == [0, 30]  # the tick was due long before
    assert it.end("slow").ended == 60
    assert cls.steps("slow") == ["build", "launch", "poll", "poll"]


async def test_an_abandoned_poll_that_says_the_job_has_ended_is_not_followed_by_a_kill(
    autojump_clock: MockClock,
) -> None:
    gate = Gate()
    cls = scripted({"a": Script(poll=[says(PASSED, gate=gate)])})
    async with rig(cls, poll_timeout=10) as it:
        await it.submit("a")
        await it.backend.drain()
        gate.open()
        await trio.sleep(1)
    assert it.kind("a") is FailureKind.LOST
    assert cls.steps("a") == ["build", "launch", "poll"]


async def test_abandoned_threads_are_named_on_leaving(autojump_clock: MockClock) -> None:
    gate = Gate()
    cls = scripted(
        {"a": Script(poll=[says(RUNNING, gate=gate)]), "b": Script(kill=[Act(gate=gate)], poll=[says(RUNNING)])}
    )
    with pytest.raises(ValueError, match="over") as caught:
        async with rig(cls, poll_timeout=10, kill_timeout=5) as it:
            await it.submit("a", "b")
            await polled(cls, "b")
            await it.backend.kill("b")
            await trio.sleep(20)
            raise ValueError("over")
    notes = " ".join(caught.value.__notes__)
    assert "2 abandoned threads" in notes
    assert "poll() of job 'a'" in notes
    assert "kill() of job 'b'" in notes
    gate.open()


async def test_threads_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    monkeypatch.setattr(hung_calls, "MAX_HUNG", 3)
    gate = Gate()
    cls = scripted(lambda _job: Script(poll=[says(RUNNING, gate=gate)]))
    names = [f"job{number}" for number in range(10)]
    with pytest.raises(BackendBrokenError, match="4 calls of ScriptedLauncher do not return"):
        async with rig(cls, stall_timeout=1, kill_timeout=5) as it:
            await it.submit(*names)
            await trio.sleep_forever()
    assert {it.kind(name) for name in names} <= {FailureKind.BACKEND_ERROR, FailureKind.LOST}
    assert len(it.events) == 10
    gate.open()


async def test_a9_the_first_terminal_status_wins_and_the_job_is_not_polled_again(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(FAILED), says(RUNNING), says(PASSED)]), "b": ENDLESS}, poll_freq=1)
    async with rig(cls) as it:
        await it.submit("a", "b", timeout=20)
    assert it.end("a").status is FAILED
    assert cls.steps("a") == ["build", "launch", "poll"]


async def test_statuses_of_others_are_known_by_name(autojump_clock: MockClock) -> None:
    other = SimpleNamespace(name="PASSED", is_terminal="irrelevant")
    cls = scripted({"a": Script(poll=[says(SimpleNamespace(name="DISPATCHED")), says(other)])})
    async with rig(cls) as it:
        await it.submit("a")
    assert it.end("a").status is PASSED


# ---------------------------------------------------------------------- the poller


async def test_ticks_come_one_interval_after_the_last(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(RUNNING)] * 3 + [says(PASSED)])}, poll_freq=10)
    async with rig(cls) as it:
        await it.submit("a")
    assert cls.times("a", "poll") == [0, 10, 20, 30]


async def test_after_a_slow_tick_there_is_a_rest_and_no_burst(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(RUNNING, delay=35), *[says(RUNNING)] * 3, says(PASSED)])}, poll_freq=10)
    async with rig(cls, stall_timeout=100) as it:
        await it.submit("a")
    assert cls.times("a", "poll") == [0, 45, 55, 65, 75]


async def test_a_tick_polls_at_most_max_poll_first_in_first_out(autojump_clock: MockClock) -> None:
    cls = scripted(lambda _job: Script(poll=[says(RUNNING), says(PASSED)]), poll_freq=1, max_poll=2)
    async with rig(cls) as it:
        await it.submit(*"abcde")
    order = [(deed.at, deed.job_id) for deed in cls.trace if deed.step == "poll"]
    assert order == [
        *[(0, "a"), (0, "b"), (1, "c"), (1, "d"), (2, "e"), (2, "a")],
        *[(3, "b"), (3, "c"), (4, "d"), (4, "e")],
    ]


async def test_i8_each_job_is_polled_once_in_so_many_ticks(autojump_clock: MockClock) -> None:
    live, most, hung = 23, 5, {"j3", "j11"}
    gate = Gate()

    def script(job: Any) -> Script:
        return Script(poll=[says(RUNNING, gate=gate)]) if job.id in hung else ENDLESS

    cls = scripted(script, poll_freq=1, max_poll=most)
    async with rig(cls, stall_timeout=2, poll_timeout=1000) as it:
        await it.submit(*[f"j{number}" for number in range(live)])
        await trio.sleep(60)
        bound = math.ceil(live / most) * 1 + 2 * len(hung)
        for number in range(live):
            polls = [0.0, *cls.times(f"j{number}", "poll")]
            if f"j{number}" not in hung:
                assert len(polls) > 8
                assert max(b - a for a, b in itertools.pairwise(polls)) <= bound
        it.backend.close()
        gate.open()


async def test_a_job_that_comes_during_a_tick_is_polled_in_it_and_one_that_comes_after_it_in_the_next(
    autojump_clock: MockClock,
) -> None:
    slow = Script(poll=[says(RUNNING, delay=2), says(RUNNING)])
    names = ["slow 1", "slow 2", "slow 3"]
    cls = scripted(lambda job: slow if job.id in names else ENDLESS, poll_freq=10)
    async with rig(cls, stall_timeout=100) as it:
        await it.submit(*names)
        await trio.sleep(1)
        await it.submit("during")
        assert trio.current_time() == 4  # it was built and launched between the polls
        await trio.sleep(3)
        assert cls.times("during", "poll") == [6]
        await it.submit("after")
        await trio.sleep(10)
        assert cls.times("after", "poll") == [16]
        it.backend.close()


async def test_without_an_interval_a_tick_that_ended_nothing_is_followed_by_a_millisecond(
    autojump_clock: MockClock,
) -> None:
    cls = scripted(
        {"a": Script(poll=[says(RUNNING)] * 4 + [says(PASSED)]), "b": Script(poll=[says(RUNNING), says(PASSED)])},
        poll_freq=0,
    )
    async with rig(cls) as it:
        await it.submit("a", "b")
    assert cls.times("a", "poll") == pytest.approx([0, 0.001, 0.001, 0.002, 0.003])


async def test_a_poller_that_dies_is_loud_and_loses_no_job(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def die(_poller: Poller) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(Poller, "_tick", die)
    cls = scripted(lambda _job: ENDLESS)
    with pytest.raises(ZeroDivisionError):
        async with rig(cls) as it:
            await it.submit("a", "b")
            await trio.sleep_forever()
    assert [it.kind(name) for name in "ab"] == [FailureKind.BACKEND_ERROR] * 2
    assert [cls.steps(name)[-1] for name in "ab"] == ["kill"] * 2


class Steps(trio.abc.Instrument):
    count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += "autojump" not in task.name


async def test_with_nothing_to_poll_no_task_wakes_up(autojump_clock: MockClock) -> None:
    cls = scripted(poll_freq=0)
    async with rig(cls) as it:
        await it.submit("a")
        await it.backend.drain()
        await trio.sleep(2 * drops.DELAY)
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(3600)
        trio.lowlevel.remove_instrument(steps)
    assert steps.count <= 2  # of this very task


async def test_launches_and_polls_alternate_batch_by_batch(autojump_clock: MockClock) -> None:
    slow = Script(launch=[Act(delay=0.004)], poll=[says(RUNNING, delay=0.004)])
    cls = scripted(lambda _job: slow, poll_freq=0)
    async with rig(cls) as it:
        await it.submit("first")
        await it.submit(*[f"j{number}" for number in range(50)])
        done = [deed.step for deed in cls.trace if deed.step != "build"]
        it.backend.close()
    # A batch begins calls for 5 ms, so it has two of 4 ms; between two batches of launches there are polls.
    longest = max(len(run) for run in "".join("L" if step == "launch" else "p" for step in done).split("p"))
    assert longest <= 2
    assert done.count("poll") >= 25


async def test_launches_of_two_submissions_do_not_wait_for_one_another(autojump_clock: MockClock) -> None:
    cls = scripted(lambda _job: Script(launch=[Act(delay=1)]))
    async with rig(cls) as it, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: it.submit("a1", "a2", "a3"))
        await trio.sleep(0.5)
        nursery.start_soon(lambda: it.submit("b1"))
    assert [deed.job_id for deed in cls.trace if deed.step == "launch"] == ["a1", "a2", "b1", "a3"]
    assert [deed.job_id for deed in cls.trace if deed.step in ("build", "launch")][3:6] == ["a1", "b1", "a2"]


async def test_a_launcher_goes_with_its_job_and_not_when_the_collector_finds_it() -> None:
    made: list[weakref.ref[Bare]] = []

    class Watched(Bare):
        poll_freq = 0

        def __init__(self, job: Any) -> None:
            super().__init__(job)
            made.append(weakref.ref(self))

    gc.collect()  # what other tests have left
    gc.disable()
    try:
        await run_jobs([job(name) for name in "abc"], LegacyLauncherAdapter(Watched))
        assert [launcher() for launcher in made] == [None] * 3
        assert [each for each in gc.get_objects() if isinstance(each, Entry)] == []
    finally:
        gc.enable()


# ---------------------------------------------------------------------- time limits


@pytest.mark.parametrize("polls", [[says(RUNNING)], [raises(OSError())]], ids=["says RUNNING", "says nothing"])
async def test_a_timeout_counts_from_the_launch(polls: list[Act], autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(launch=[Act(delay=3)], poll=polls)}, poll_freq=1)
    async with rig(cls, poll_error_limit=0) as it:
        await it.submit("a", timeout=10)
    assert it.kind("a") is FailureKind.TIMEOUT
    assert (it.end("a").started, it.end("a").ended) == (3, 13)


async def test_a_timeout_counts_from_the_first_running_of_a_launcher_that_tells_the_two_apart(
    autojump_clock: MockClock,
) -> None:
    cls = scripted({"a": Script(poll=[says(QUEUED)] * 50 + [says(RUNNING)])}, poll_freq=1)
    async with rig(cls) as it:
        await it.submit("a", timeout=10)
    assert it.kind("a") is FailureKind.TIMEOUT
    assert (it.end("a").started, it.end("a").ended) == (50, 60)
    assert it.progress("a") == [(0, "QUEUED"), (50, "RUNNING")]


async def test_a_job_that_stays_queued_has_a_limit_of_its_own(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(QUEUED)])}, poll_freq=1)
    async with rig(cls) as it:
        await it.submit("a", timeout=10, queue_timeout=30)
    assert it.kind("a") is FailureKind.QUEUE_TIMEOUT
    assert it.end("a").started is None


async def test_a_requeue_is_reported(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(RUNNING), says(QUEUED), says(RUNNING), says(PASSED)])}, poll_freq=1)
    async with rig(cls) as it:
        handles = await it.submit("a")
        assert handles["a"].started == 0
    assert it.progress("a") == [(1, "QUEUED"), (2, "RUNNING")]
    assert it.end("a").started == 2


async def test_the_timeout_of_a_job_of_dvsim(autojump_clock: MockClock) -> None:
    cls = scripted({"a": ENDLESS}, poll_freq=1)
    async with rig(cls) as it:
        await it.backend.submit(SimpleNamespace(id="a", timeout_secs=12.5))
    assert it.kind("a") is FailureKind.TIMEOUT
    assert it.end("a").ended == 12.5


# ---------------------------------------------------------------------- killing


async def test_to_kill_is_one_last_poll_and_then_the_kill(autojump_clock: MockClock) -> None:
    cls = scripted({"a": ENDLESS}, poll_freq=100)
    async with rig(cls) as it:
        handles = await it.submit("a")
        await polled(cls, "a")
        await it.backend.kill_many(handles.values(), by="SIGINT")
        assert it.backend.statistics().live == 0
    assert cls.steps("a") == ["build", "launch", "poll", "poll", "kill"]
    assert (it.end("a").status, it.kind("a"), it.text("a")) == (KILLED, FailureKind.CANCELLED, "killed by SIGINT")


async def test_a10_a_job_that_had_ended_keeps_its_true_status_and_is_not_killed(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(RUNNING), says(FAILED)], after={"fail_msg": "assertion"})}, poll_freq=100)
    async with rig(cls) as it:
        await it.submit("a")
        await polled(cls, "a")
        await it.backend.kill("a")
    assert (it.end("a").status, it.text("a")) == (FAILED, "assertion")
    assert cls.steps("a") == ["build", "launch", "poll", "poll"]


@pytest.mark.parametrize("last", [raises(OSError("gone")), says(None)], ids=["raises", "says nothing"])
async def test_a_last_poll_that_fails_is_no_reason_not_to_kill(last: Act, autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(RUNNING), last])}, poll_freq=100)
    async with rig(cls) as it:
        await it.submit("a")
        await polled(cls, "a")
        await it.backend.kill("a")
    assert it.kind("a") is FailureKind.CANCELLED
    assert cls.steps("a")[-1] == "kill"


async def test_the_kill_s_return_is_the_confirmation(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(RUNNING)], kill=[Act(delay=7)])}, poll_freq=1)
    async with rig(cls) as it:
        await it.submit("a")
        await trio.sleep(2.5)
        await it.backend.kill("a")
        assert trio.current_time() == 9.5
    assert it.end("a").ended == 9.5
    assert cls.steps("a")[-1] == "kill"


async def test_a11_one_failing_kill_costs_its_own_job_only(autojump_clock: MockClock) -> None:
    error = PermissionError("not yours")
    fails = Script(poll=[says(RUNNING)], kill=[raises(error)])
    cls = scripted(lambda job: fails if job.id == "j2" else ENDLESS, poll_freq=100)
    names = [f"j{number}" for number in range(1, 6)]
    async with rig(cls) as it:
        handles = await it.submit(*names)
        await it.backend.kill_many(handles.values())
    assert [cls.steps(name)[-1] for name in names] == ["kill"] * 5
    assert [it.kind(name) for name in names if name != "j2"] == [FailureKind.CANCELLED] * 4
    assert (it.end("j2").status, it.kind("j2")) == (KILLED, FailureKind.LOST)
    assert "kill() raised PermissionError: not yours" in it.text("j2")
    assert cls.steps("j2").count("kill") == 1


async def test_a12_a_kill_that_blocks_is_lost_at_its_deadline_and_no_call_follows(autojump_clock: MockClock) -> None:
    gate = Gate()
    cls = scripted({"a": Script(poll=[says(RUNNING)], kill=[Act(gate=gate)])}, poll_freq=1)
    async with rig(cls, kill_timeout=20) as it:
        await it.submit("a", "b")
        await trio.sleep(0.5)
        await it.backend.kill_many(["a", "b"])
        assert trio.current_time() == 20.5
        gate.open()
        await trio.sleep(100)
    assert (it.kind("a"), it.end("a").ended) == (FailureKind.LOST, 20.5)
    assert "kill() did not return within 20 s" in it.text("a")
    assert "killed by the caller" in it.text("a")
    assert cls.steps("a").count("kill") == 1
    assert cls.steps("a")[-1] == "kill"


async def test_kills_go_side_by_side(autojump_clock: MockClock) -> None:
    cls = scripted(lambda _job: Script(poll=[says(RUNNING)], kill=[Act(delay=0.1)]), poll_freq=100)
    async with rig(cls) as it:
        handles = await it.submit(*[f"j{number}" for number in range(200)])
        await it.backend.kill_many(handles.values())
        assert trio.current_time() == pytest.approx(0.4)  # 200 of them, 64 at once
    assert {it.kind(name) for name in handles} == {FailureKind.CANCELLED}


async def test_one_kill_thread_kills_one_at_a_time(autojump_clock: MockClock) -> None:
    cls = scripted(lambda _job: Script(poll=[says(RUNNING)], kill=[Act(delay=1)]), poll_freq=100)
    async with rig(cls, kill_threads=1) as it:
        await it.submit(*"abc")
        await it.backend.kill_many(["a", "b", "c"])
        kills = sorted(deed.at for deed in cls.trace if deed.step == "kill")
    assert kills == [0, 1, 2]


async def test_a_kill_overtakes_what_has_not_begun(autojump_clock: MockClock) -> None:
    cls = scripted(lambda _job: Script(launch=[Act(delay=10)]))
    async with rig(cls) as it, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: it.submit("first", "second", "third"))
        await trio.sleep(5)
        await it.backend.kill_many(["second", "third"])
        assert trio.current_time() == 5
    assert [cls.steps(name) for name in ("second", "third")] == [["build"], ["build"]]
    assert [it.kind(name) for name in ("second", "third")] == [FailureKind.CANCELLED] * 2
    assert it.end("first").status is PASSED


async def test_a_kill_overtakes_a_launcher_that_was_not_even_built(autojump_clock: MockClock) -> None:
    cls = scripted(lambda _job: Script(build=[Act(delay=10)]))
    async with rig(cls) as it, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: it.submit("first", "second"))
        await trio.sleep(5)
        await it.backend.kill("second")
        await it.backend.kill("first")
        assert trio.current_time() == 10
    assert [cls.steps(name) for name in ("first", "second")] == [["build"], []]
    assert [it.kind(name) for name in ("first", "second")] == [FailureKind.CANCELLED] * 2


async def test_a_kill_that_waits_for_a_thread_is_not_made_by_the_one_from_which_its_poll_was_taken_back(
    autojump_clock: MockClock,
) -> None:
    cls = scripted(
        {
            "long": Script(poll=[says(RUNNING, delay=10), says(PASSED)]),
            "first": Script(poll=[says(RUNNING)], kill=[Act(delay=50)]),
            "second": Script(poll=[says(RUNNING)]),
        },
        poll_freq=100,
    )
    async with rig(cls, kill_threads=1, stall_timeout=20, kill_timeout=0) as it:
        await it.submit("long", "first", "second")
        await trio.sleep(5)
        await it.backend.kill_many(["first", "second"])
        assert trio.current_time() == 55
    assert cls.times("second", "kill") == [55]
    assert [it.kind(name) for name in ("first", "second")] == [FailureKind.CANCELLED] * 2
    assert it.end("long").status is PASSED


async def test_a_job_that_is_being_launched_is_killed_as_soon_as_that_returns(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(launch=[Act(delay=10)], poll=[says(RUNNING)])})
    async with rig(cls) as it, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: it.submit("a"))
        await trio.sleep(5)
        await it.backend.kill("a")
        assert trio.current_time() == 10
    assert cls.steps("a") == ["build", "launch", "poll", "kill"]
    assert it.kind("a") is FailureKind.CANCELLED


async def test_a_kill_waits_for_a_launch_that_hangs_as_long_as_for_any_kill(autojump_clock: MockClock) -> None:
    gate = Gate()
    cls = scripted({"a": Script(launch=[Act(gate=gate)])})
    async with rig(cls, kill_timeout=20) as it, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: it.submit("a", "b"))
        await trio.sleep(5)
        await it.backend.kill("a")
        assert trio.current_time() == 25
        await it.backend.drain()
        assert trio.current_time() < 26  # another thread has taken over at once
        gate.open()
        await trio.sleep(1)
    assert it.kind("a") is FailureKind.LOST
    assert "launch() did not return within 20 s" in it.text("a")
    assert cls.steps("a") == ["build", "launch", "kill"]
    assert it.end("b").status is PASSED


async def test_a_kill_waits_for_a_stalled_poll(autojump_clock: MockClock) -> None:
    gate = Gate()
    cls = scripted(
        {"a": Script(poll=[says(RUNNING, gate=gate), says(RUNNING)]), "b": Script(poll=[says(RUNNING, gate=gate)])}
    )
    async with rig(cls, kill_timeout=20, stall_timeout=1) as it:
        await it.submit("a", "b")
        await trio.sleep(5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: it.backend.kill("a"))
            await trio.sleep(10)
            assert cls.steps("a") == ["build", "launch", "poll"]
            gate.open()
        assert trio.current_time() == 15
        await it.backend.kill("b")
    assert cls.steps("a") == ["build", "launch", "poll", "poll", "kill"]
    assert it.kind("a") is FailureKind.CANCELLED


async def test_a_job_is_lost_if_the_poll_that_its_kill_waits_for_does_not_return(autojump_clock: MockClock) -> None:
    gate = Gate()
    cls = scripted({"a": Script(poll=[says(RUNNING, gate=gate)])})
    async with rig(cls, kill_timeout=20, stall_timeout=1) as it:
        await it.submit("a")
        await trio.sleep(5)
        await it.backend.kill("a")
        assert trio.current_time() == 25
        gate.open()
        await trio.sleep(200)
    assert it.kind("a") is FailureKind.LOST
    assert cls.steps("a") == ["build", "launch", "poll", "kill"]


async def test_a_poll_that_ends_the_job_while_a_kill_waits_for_it(autojump_clock: MockClock) -> None:
    cls = scripted({"a": Script(poll=[says(PASSED, delay=10)])})
    async with rig(cls, stall_timeout=100) as it:
        await it.submit("a")
        await trio.sleep(5)
        await it.backend.kill("a")
    assert it.end("a").status is PASSED
    assert cls.steps("a") == ["build", "launch", "poll"]


async def test_a_submission_that_is_cancelled_launches_no_more(autojump_clock: MockClock) -> None:
    cls = scripted(lambda _job: Script(launch=[Act(delay=10)], poll=[says(RUNNING)]))
    async with rig(cls) as it:
        with trio.move_on_after(15) as scope:
            await it.submit("a", "b", "c")
        assert scope.cancelled_caught
        assert trio.current_time() == 15
    assert cls.steps("a")[-1] == "kill"
    assert cls.steps("b") == ["build", "launch", "poll", "kill"]
    assert cls.steps("c") == ["build"]
    assert [len(it.ends(name)) for name in "ab"] == [1, 1]


async def test_nothing_outlives_the_block(autojump_clock: MockClock) -> None:
    cls = scripted(lambda _job: ENDLESS, poll_freq=1)
    with pytest.raises(ValueError, match="body"):
        async with rig(cls) as it:
            await it.submit(*"abc")
            raise ValueError("body")
    assert [cls.steps(name)[-1] for name in "abc"] == ["kill"] * 3
    assert [it.kind(name) for name in "abc"] == [FailureKind.CANCELLED] * 3


# ---------------------------------------------------------------------- what launchers report


@attrs.frozen
class Message:
    message: str
    line_number: int | None = None
    context: list[str] = attrs.Factory(list)


@attrs.frozen
class Time:
    value: float
    unit: str

    def get(self) -> tuple[float, str]:
        return self.value, self.unit


async def test_a_reason_comes_from_the_instance(autojump_clock: MockClock) -> None:
    message = Message("UVM_ERROR", 12, ["a", "b"])
    cls = scripted(
        {
            "with reason": Script(poll=[says(FAILED)], after={"fail_msg": message}),
            "silent": Script(poll=[says(FAILED)]),
            "own": Script(poll=[says(KILLED)], after={"fail_msg": Message("licence lost")}),
        },
        fail_msg=Message("Job killed most likely because its dependent job failed."),
    )
    async with rig(cls) as it:
        await it.submit("with reason", "silent", "own")
    reason = it.end("with reason").reason
    assert reason is not None
    assert (reason.message, reason.lines, reason.context, reason.kind) == ("UVM_ERROR", [12], ["a", "b"], None)
    assert it.text("silent") == "ScriptedLauncher gave no reason"
    assert (it.end("own").status, it.text("own"), it.kind("own")) == (KILLED, "licence lost", None)


async def test_times_are_reported_in_seconds(autojump_clock: MockClock) -> None:
    after = {"job_runtime": Time(1.5, "m"), "simulated_time": Time(20, "us")}
    cls = scripted({"a": Script(after=after), "b": Script(after={"job_runtime": Time(0, "s")})})
    async with rig(cls) as it:
        await it.submit("a", "b")
    usage = it.end("a").usage
    assert usage is not None
    assert [usage.job_runtime, usage.simulated_time] == pytest.approx([90, 20e-6])
    assert it.end("b").usage is None


async def test_properties_are_read_once_right_after_the_poll(autojump_clock: MockClock) -> None:
    read: list[str] = []

    class Cls(Bare):
        def poll(self) -> JobStatus:
            read.append("poll")
            return FAILED

        @property
        def fail_msg(self) -> Message:
            read.append("fail_msg")
            return Message("as the property says")

        @property
        def job_runtime(self) -> float:
            read.append("job_runtime")
            raise OSError("log not found")

        @property
        def simulated_time(self) -> float:
            read.append("simulated_time")
            return 3

    async with rig(Cls) as it:
        await it.submit("a")
    assert read == ["poll", "fail_msg", "job_runtime", "simulated_time"]
    assert it.text("a") == "as the property says"
    usage = it.end("a").usage
    assert usage is not None
    assert (usage.job_runtime, usage.simulated_time) == (None, 3)
