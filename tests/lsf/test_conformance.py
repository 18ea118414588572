"""`LsfBackend` keeps the contract, on the fake: no real LSF has been asked yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gridengine.test_conformance import check_all
from tests.lsf.fakes import FakeLsf
from tests.lsf.jobs import fixtures
from tests.slurm.fakes.controller import Settings
from tests.slurm.jobs import use_fake


@pytest.mark.slow
async def test_the_fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeLsf(Settings(kill_wait=0.2, cpus=1000)) as cluster:
        use_fake(cluster, monkeypatch)
        await check_all(lambda: fixtures(tmp_path), buffer=0)
