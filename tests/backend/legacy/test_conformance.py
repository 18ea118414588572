"""The adapter passes the conformance suite for backends: in virtual time, and with real threads."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from runtime.backend.legacy import LauncherBusyError, LauncherError, LegacyLauncherAdapter
from runtime.job import JobSpec, JobStatus
from runtime.testing.conformance import BUFFERS, CHECKS, Check, run_check
from runtime.testing.fixture import BackendFixture, Behaviour
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, raises, says, scripted
from runtime.testing.virtual import VirtualAdapter


class FixtureFactory:
    def __init__(self, adapter: type[LegacyLauncherAdapter], *, unit: float, **options: Any) -> None:
        self.adapter = adapter
        self.options = options
        endless = [says(RUNNING)]
        self.scripts = {
            Behaviour.PASS: Script(poll=[says(RUNNING), says(PASSED)]),
            Behaviour.FAIL: Script(poll=[says(RUNNING), says(JobStatus.FAILED)]),
            Behaviour.RUN_UNTIL_KILLED: Script(poll=endless),
            Behaviour.IGNORE_SIGTERM: Script(poll=endless, kill=[Act(delay=4 * unit)]),
            Behaviour.CANNOT_LAUNCH: Script(launch=[raises(LauncherError("no such program"))]),
            Behaviour.BUSY_ONCE: Script(launch=[raises(LauncherBusyError("full")), Act()]),
        }

    def __call__(self) -> BackendFixture:
        cls = scripted(lambda job: self.scripts[Behaviour(job.cmd)], poll_freq=0)
        return BackendFixture(self.adapter(cls, **self.options), job=_job)


def _job(behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - the fixture's name
    return JobSpec(name=id, cmd=behaviour.value, timeout=timeout)


VIRTUAL = {
    "plain": FixtureFactory(VirtualAdapter, unit=1),
    "one kill thread": FixtureFactory(VirtualAdapter, unit=0.5, kill_threads=1),
    "one poll a tick": FixtureFactory(VirtualAdapter, unit=1, max_polls_per_interval=1, poll_interval=0.01),
}


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("factory", VIRTUAL.values(), ids=VIRTUAL)
async def test_in_virtual_time(factory: FixtureFactory, check: Check, buffer: float, autojump_clock: MockClock) -> None:
    await run_check(check, factory, buffer)


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_with_threads(check: Check, buffer: float) -> None:
    await run_check(check, FixtureFactory(LegacyLauncherAdapter, unit=0.01), buffer)
