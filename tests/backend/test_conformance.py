"""Every backend keeps the contract: the whole suite, for each backend and each size of the channel's buffer."""

from __future__ import annotations

import pytest
import trio.testing

from runtime.testing.backends import Delay, FakeFixtures, ScriptedBackend, ScriptPoint
from runtime.testing.conformance import BUFFERS, CHECKS, Check, run_check
from runtime.testing.fixture import FixtureFactory

FAKES: dict[str, FixtureFactory] = {
    "plain": FakeFixtures(),
    "at_once": FakeFixtures(at_once=True),
    "queued": FakeFixtures(queued=2),
    "slow": FakeFixtures(
        lambda policy: ScriptedBackend(policy, script={ScriptPoint.LAUNCH: Delay(0.25), ScriptPoint.KILL: Delay(0.25)})
    ),
}


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("fixture", FAKES.values(), ids=FAKES)
async def test_fake(
    fixture: FixtureFactory, check: Check, buffer: float, autojump_clock: trio.testing.MockClock
) -> None:
    await run_check(check, fixture, buffer)
