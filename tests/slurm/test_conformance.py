"""`SlurmBackend` keeps the contract, on a real cluster and on the fake."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from runtime.testing.conformance import ALONE, BUFFERS, CHECKS, Check, run_check
from tests.slurm.cluster import Cluster
from tests.slurm.fakes import FakeSlurm
from tests.slurm.fakes.controller import Settings
from tests.slurm.jobs import BUSY_ONCE, BatchFixtures, Calls, use_fake

AT_ONCE = 12
"""Checks that share the cluster: it has 32 processors, and a check is mostly waiting for the next tick."""


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("buffer", BUFFERS)
async def test_a_real_cluster(slurm: Cluster, buffer: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Calls(tmp_path, monkeypatch, BUSY_ONCE)
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def run(check: Check) -> None:
        async with limiter:
            await run_check(check, BatchFixtures(tmp_path), buffer, budget=90)

    async with trio.open_nursery() as nursery:
        for check in CHECKS:
            if check not in ALONE:
                nursery.start_soon(run, check)
    for check in ALONE:
        await run(check)
    assert slurm.call("squeue", "--noheader") == ""


@pytest.mark.slow
@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_fake(check: Check, buffer: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeSlurm(Settings(kill_wait=0.2, cpus=64)) as slurm:
        use_fake(slurm, monkeypatch)
        await run_check(check, BatchFixtures(tmp_path, poll_interval=0.02), buffer)
