"""Many launchers in one adapter: calls that hang do not hold up others, and kills overtake polls.

In virtual time, except for the last test: its threads are real, and so is the other work that must go on.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.legacy import LegacyLauncherAdapter
from runtime.backend.legacy.launcher_threads import ThreadWorkers
from runtime.backend.local import LocalBackend
from runtime.job import EventBatch, FailureKind, JobCompletionEvent, JobSpec, JobStatus
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, ScriptedLauncher, says, scripted
from runtime.testing.virtual import Gate
from tests.backend.legacy.rig import rig

HUNG = [f"hung{number}" for number in range(40)]
HEALTHY = [f"healthy{number}" for number in range(100)]
MIXED = [name for pair in itertools.zip_longest(HEALTHY, HUNG) for name in pair if name is not None]


def gaps(cls: type[ScriptedLauncher], name: str, since: float, until: float) -> list[float]:
    """Return the times between polls of a job, and from and to the ends of the interval."""
    times = [since, *[at for at in cls.times(name, "poll") if since < at < until], until]
    return [b - a for a, b in itertools.pairwise(times)]


def mixed(gate: Gate, **attributes: Any) -> type[ScriptedLauncher]:
    """Make launchers; those of `HUNG` hang in their first poll until `gate` is opened."""
    hangs, runs = Script(poll=[says(RUNNING, gate=gate)]), Script(poll=[says(RUNNING)])
    return scripted(lambda job: hangs if job.id in HUNG else runs, **attributes)


@pytest.mark.parametrize("most", [0, 7, 30])
async def test_40_hung_and_100_healthy_in_one_adapter(most: int, autojump_clock: MockClock) -> None:
    gate, stall_timeout = Gate(), 0.5
    cls = mixed(gate, poll_freq=1, max_poll=most)
    async with rig(cls, stall_timeout=stall_timeout, poll_timeout=1000) as it:
        await it.submit(*MIXED)
        await trio.sleep(300)
        ticks = math.ceil(len(MIXED) / most) if most else 1
        for name in HEALTHY:
            assert max(gaps(cls, name, 0, 300)) <= ticks + stall_timeout * len(HUNG), "each stalls once"
        settled = ticks + stall_timeout * len(HUNG) + ticks
        ticks = math.ceil(len(HEALTHY) / most) if most else 1
        for name in HEALTHY:
            assert max(gaps(cls, name, settled, 300)) <= ticks, "and then they hold up no other job"
        assert it.events == []
        it.backend.close()
        gate.open()


async def test_jobs_that_hang_for_ever_are_lost_and_the_block_ends_in_time(autojump_clock: MockClock) -> None:
    gate = Gate()
    cls = mixed(gate, poll_freq=1)
    with pytest.raises(ValueError, match="over") as caught:
        async with rig(cls, stall_timeout=0.5, poll_timeout=1000, kill_timeout=30) as it:
            await it.submit(*MIXED)
            await trio.sleep(100)
            raise ValueError("over")
    assert trio.current_time() == 130
    assert {it.kind(name) for name in HUNG} == {FailureKind.LOST}
    assert {it.kind(name) for name in HEALTHY} == {FailureKind.CANCELLED}
    assert {it.end(name).ended for name in HEALTHY} == {100}, "no kill waits for those that hang"
    notes = " ".join(caught.value.__notes__)
    assert "40 abandoned threads are still in poll() of job 'hung" in notes
    gate.open()


async def test_a_kill_of_a_thousand_overtakes_all_queued_polls(autojump_clock: MockClock) -> None:
    names = [f"j{number}" for number in range(1000)]
    cls = scripted(lambda _job: Script(poll=[says(RUNNING, delay=0.1)], kill=[Act(delay=0.1)]), poll_freq=1)
    async with rig(cls, kill_threads=100) as it:
        handles = await it.submit(*names)
        await trio.sleep(10.05)  # a tick takes 100 s, so this is in the middle of one
        assert 90 <= sum(deed.step == "poll" for deed in cls.trace) <= 102
        began = len(cls.trace)
        await it.backend.kill_many(handles.values())
        assert trio.current_time() == pytest.approx(10.05 + 1000 / 100 * 0.2, abs=0.2)
        after = cls.trace[began:]
        assert sum(deed.step == "kill" for deed in after) == 1000
        assert sum(deed.step == "poll" for deed in after) == 1000, "the last one of each, and none of the tick's"
    assert {it.kind(name) for name in names} == {FailureKind.CANCELLED}


async def test_a_slow_tick_is_followed_by_a_rest_for_all_jobs(autojump_clock: MockClock) -> None:
    slow = Script(poll=[says(RUNNING, delay=25), says(RUNNING)])
    cls = scripted(lambda job: slow if job.id == "slow" else Script(poll=[says(RUNNING)]), poll_freq=10)
    async with rig(cls, stall_timeout=100) as it:
        await it.submit("slow", "a", "b")
        await trio.sleep(60)
        it.backend.close()
    for name in "ab":
        assert cls.times(name, "poll")[:-1] == [25, 35, 45, 55], "the ticks missed in 25 s are not made up for"


@pytest.mark.slow
async def test_calls_that_hang_disturb_nothing_else(tmp_path: Path) -> None:
    gate = Gate()
    cls = mixed(gate, poll_freq=0.01)
    workers = ThreadWorkers()

    class Adapter(LegacyLauncherAdapter):
        workers_factory = staticmethod(lambda: workers)

    try:
        async with rig(cls, Adapter, stall_timeout=0.01, poll_timeout=1000, kill_timeout=0.5) as it:
            await it.submit(*MIXED)
            while workers.hung < len(HUNG):  # noqa: ASYNC110 - there is no event for it
                await trio.sleep(0.01)
            seen = len(cls.times(HEALTHY[0], "poll"))
            send, receive = trio.open_memory_channel[EventBatch](math.inf)
            with send:
                async with LocalBackend(max_parallelism=4).open(send) as local:  # another backend
                    await local.submit_many(
                        [JobSpec(name=f"l{n}", cmd="true", odir=str(tmp_path / f"l{n}")) for n in range(4)]
                    )
            events = [event async for batch in receive for event in batch if isinstance(event, JobCompletionEvent)]
            assert [event.status for event in events] == [PASSED] * 4
            assert (await trio.run_process(["true"])).returncode == 0  # process starts, on trio's own threads
            await trio.Path(tmp_path / "file").write_text("text")  # file work, as well
            assert await trio.Path(tmp_path / "file").read_text() == "text"
            while len(cls.times(HEALTHY[0], "poll")) < seen + 3:  # noqa: ASYNC110 - a launcher has no event of trio's
                await trio.sleep(0.01)
            it.backend.close()
        assert {it.kind(name) for name in HUNG} == {FailureKind.LOST}
        assert {it.end(name).status for name in HEALTHY} == {JobStatus.KILLED}
        assert {it.kind(name) for name in HEALTHY} == {FailureKind.CANCELLED}
    finally:
        gate.open()
