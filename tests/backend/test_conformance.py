"""Every backend keeps the contract: the whole suite, for each, with each size of the channel's buffer."""

from __future__ import annotations

import pytest
import trio.testing

from runtime.testing.backends import Delay, FakeKit, ScriptedBackend, Step
from runtime.testing.conformance import BUFFERS, CHECKS, Check, run_check
from runtime.testing.fixture import KitFactory

FAKES: dict[str, KitFactory] = {
    "plain": FakeKit(),
    "at_once": FakeKit(at_once=True),
    "queued": FakeKit(queued=2),
    "slow": FakeKit(ScriptedBackend, script={Step.LAUNCH: Delay(0.25), Step.KILL: Delay(0.25)}),
}


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kit", FAKES.values(), ids=FAKES)
async def test_fake(kit: KitFactory, check: Check, buffer: float, autojump_clock: trio.testing.MockClock) -> None:
    await run_check(check, kit, buffer)
