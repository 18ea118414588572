"""Few commands for many jobs on a real cluster: a small run of ``python -m tests.campaigns gridengine``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.gridengine import Scene, kill_all, run_all
from tests.gridengine.cluster import Cluster
from tests.gridengine.jobs import PROGRAMS
from tests.slurm.jobs import Calls


@pytest.mark.gridengine
@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("scene", [run_all, kill_all])
async def test_many_jobs_cost_few_commands(
    scene: Scene, grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await scene(Calls(tmp_path, monkeypatch, programs=PROGRAMS), tmp_path, 40)
    assert grid_engine.jobs() == []
