"""`GridEngineBackend` keeps the contract, on a real cluster and on the fake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from runtime.testing.conformance import ALONE, CHECKS, Check, run_check
from tests.gridengine.cluster import Cluster
from tests.gridengine.fakes import FakeGridEngine
from tests.gridengine.jobs import BUSY_ONCE, PROGRAMS, fixtures
from tests.slurm.fakes.controller import Settings
from tests.slurm.jobs import BatchFixtures, Calls, use_fake
from tests.slurm.test_conformance import AT_ONCE


async def check_all(make: Callable[[], BatchFixtures], buffer: float) -> None:
    """Run all checks of the suite, each with fixtures of its own, on the cluster that the environment names."""
    limiter = trio.CapacityLimiter(2 * AT_ONCE)  # a check is mostly waiting for the next tick

    async def run(check: Check) -> None:
        async with limiter:
            await run_check(check, make(), buffer, budget=90)

    async with trio.open_nursery() as nursery:
        for check in CHECKS:
            if check not in ALONE:
                nursery.start_soon(run, check)
    for check in ALONE:
        await run(check)


@pytest.mark.gridengine
@pytest.mark.root
@pytest.mark.slow
async def test_a_real_cluster(grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Calls(tmp_path, monkeypatch, BUSY_ONCE, PROGRAMS)
    await check_all(lambda: fixtures(tmp_path, 0.5), buffer=0)
    assert grid_engine.jobs() == []


@pytest.mark.slow
async def test_the_fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeGridEngine(Settings(cpus=1000)) as cluster:
        use_fake(cluster, monkeypatch)
        await check_all(lambda: fixtures(tmp_path, 0.1), buffer=0)
