"""Tests of scripted backends: each step does what its script says."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.fake import FakeRun
from runtime.job import JobStatus
from runtime.testing.backends import BEHAVIOURS, Delay, FakeFixtures, Hang, Raise, Refuse, ScriptedBackend, ScriptPoint
from runtime.testing.fixture import Behaviour
from tests.backend.manual import job, opened


async def test_without_a_script_it_is_a_fake_that_counts(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(lambda *_: FakeRun(duration=math.inf))
    async with opened(backend) as history:
        await backend.submit_many([job("a"), job("b")])
        await backend.kill("a")
        backend.close()
    assert len(history.completions) == 2
    assert backend.steps == {
        (ScriptPoint.SETUP, ""): 1,
        (ScriptPoint.SERVE, ""): 1,
        (ScriptPoint.LAUNCH, "a"): 1,
        (ScriptPoint.LAUNCH, "b"): 1,
        (ScriptPoint.KILL, "a"): 1,
        (ScriptPoint.KILL, "b"): 1,
        (ScriptPoint.TEARDOWN, ""): 1,
    }


async def test_delays_take_their_time_and_a_jobs_own_goes_first(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(
        lambda *_: FakeRun(duration=math.inf),
        script={
            ScriptPoint.SETUP: Delay(1),
            ScriptPoint.LAUNCH: Delay(2),
            (ScriptPoint.LAUNCH, "b"): Delay(10),
            ScriptPoint.KILL: Delay(20),
            ScriptPoint.TEARDOWN: Delay(5),
            ScriptPoint.SERVE: Delay(3),
        },
    )
    async with opened(backend) as history:
        assert trio.current_time() == 1
        await backend.submit_many([job("a"), job("b")])
        assert trio.current_time() == 13
        await backend.kill_many(["a", "b"])
        assert trio.current_time() == 33
    assert trio.current_time() == 38
    assert (history.completion("a").started, history.completion("b").started) == (3, 13)


async def test_a_script_can_refuse_and_be_replaced() -> None:
    backend = ScriptedBackend(script={(ScriptPoint.LAUNCH, "a"): Refuse()})
    async with opened(backend):
        assert list(await backend.submit_many([job("a"), job("b")])) == ["b"]
        backend.script = {}
        assert list(await backend.submit_many([job("a")])) == ["a"]


async def test_a_kill_that_hangs_does_nothing_and_one_that_raises_raises(autojump_clock: MockClock) -> None:
    error = OSError("on purpose")
    backend = ScriptedBackend(
        lambda *_: FakeRun(duration=5), script={(ScriptPoint.KILL, "a"): Hang(), (ScriptPoint.KILL, "b"): Raise(error)}
    )
    with pytest.raises(OSError, match="on purpose") as caught:
        async with opened(backend) as history:
            await backend.submit_many([job("a"), job("b")])
            await backend.kill("a")
            assert trio.current_time() == 5, "it ended by itself"
            await backend.submit(job("b"), attempt=2)
            await backend.kill("b")
            await trio.sleep_forever()
    assert caught.value is error
    assert history.completion("a").status is JobStatus.PASSED


@pytest.mark.parametrize("behaviour", Behaviour)
async def test_the_fixture_makes_a_job_for_each_behaviour(behaviour: Behaviour, autojump_clock: MockClock) -> None:
    fixture = FakeFixtures(queued=1)()
    async with opened(fixture.backend) as history:
        first = await fixture.backend.submit(fixture.job(behaviour, "a"))
        assert (first is None) == (behaviour is Behaviour.BUSY_ONCE)
        if first is None:
            assert await fixture.backend.submit(fixture.job(behaviour, "a"))
        assert fixture.alive is not None
        assert fixture.alive("a") == (behaviour is not Behaviour.CANNOT_LAUNCH)
        if BEHAVIOURS[behaviour].duration == math.inf:
            await fixture.backend.kill("a")
    assert not fixture.alive("a")
    ends = {Behaviour.PASS: "PASSED", Behaviour.BUSY_ONCE: "PASSED", Behaviour.FAIL: "FAILED"}
    assert history.completion("a").status.name == ends.get(behaviour, "KILLED")
