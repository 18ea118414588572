"""Tests of `cancel_at_every_step`, and of the base of all backends with it."""

from __future__ import annotations

import pytest
import trio

from runtime.testing.backends import Delay, FakeFixtures, Script, ScriptedBackend, ScriptPoint
from runtime.testing.cancellation import cancel_at_every_step
from runtime.testing.conformance import BUFFERS
from runtime.testing.fixture import Behaviour, CheckContext, FixtureFactory

SCRIPT: Script = {ScriptPoint.LAUNCH: Delay(0.1), ScriptPoint.KILL: Delay(0.1)}
SLOW = FakeFixtures(lambda policy: ScriptedBackend(policy, script=SCRIPT), queued=1)


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize(
    "factory", [FakeFixtures(), FakeFixtures(at_once=True), SLOW], ids=["plain", "at_once", "slow"]
)
def test_each_job_is_accounted_for_wherever_the_cancel_comes(factory: FixtureFactory, buffer: float) -> None:
    async def program(scope: trio.CancelScope) -> None:
        async with CheckContext(factory, buffer).session() as session:  # which checks the history when it ends
            with scope:
                async with session.open() as backend:
                    async with trio.open_nursery() as nursery:
                        handles = await session.start(Behaviour.PASS, Behaviour.RUN_UNTIL_KILLED, Behaviour.FAIL)
                        nursery.start_soon(session.start, Behaviour.IGNORE_SIGTERM, Behaviour.CANNOT_LAUNCH)
                        nursery.start_soon(backend.kill, handles[1])
                    await session.submit(session.jobs(Behaviour.BUSY_ONCE, Behaviour.PASS))
                    backend.close()
            assert session.backend.statistics().live == 0

    assert cancel_at_every_step(program) > 50


def test_it_cancels_at_each_step_until_none_is_left() -> None:
    reached: list[int] = []

    async def program(scope: trio.CancelScope) -> None:
        done = 0
        with scope:
            for _ in range(5):
                await trio.lowlevel.checkpoint()
                done += 1
        reached.append(done)

    runs = cancel_at_every_step(program)
    assert runs == len(reached)
    assert reached == sorted(reached)
    assert set(reached) == {0, 1, 2, 3, 4, 5}


def test_a_failure_says_where_the_cancel_came() -> None:
    done = 0

    async def program(scope: trio.CancelScope) -> None:
        nonlocal done
        done = 0
        with scope:
            for _ in range(5):
                await trio.lowlevel.checkpoint()
                done += 1
        assert done != 3

    with pytest.raises(AssertionError) as caught:
        cancel_at_every_step(program)
    (note,) = caught.value.__notes__
    assert note.startswith("cancelled after ")


def test_it_gives_up_on_a_program_without_an_end() -> None:
    async def program(scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await trio.lowlevel.checkpoint()

    with pytest.raises(RuntimeError, match="after 20 runs the program still takes more steps"):
        cancel_at_every_step(program, limit=20)
