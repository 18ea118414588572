"""Runs the table of `runtime.testing.semantics` on every backend: each job must have its expected outcome."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.gridengine import GridEngineBackend
from runtime.backend.job_paths import job_paths
from runtime.backend.legacy.adapter import LegacyLauncherAdapter
from runtime.backend.local import LocalBackend
from runtime.backend.lsf import LsfBackend
from runtime.backend.slurm import SlurmBackend
from runtime.job import JobResult, JobSpec
from runtime.scheduler.run import run_jobs
from runtime.testing.semantics import Outcome, Row, judge, judge_message, lay_out, rows
from tests.gridengine import cluster as gridengine_cluster
from tests.gridengine.fakes import FakeGridEngine
from tests.lsf.fakes import FakeLsf
from tests.semantics.process_launcher import ProcessLauncher
from tests.slurm.cluster import Cluster
from tests.slurm.fakes import FakeSlurm
from tests.slurm.fakes.controller import Settings
from tests.slurm.jobs import use_fake

TIMEOUT = 400.0
"""Seconds after which a test counts as hung. Arbitrary: ten times less would fail on a busy machine."""


@pytest.fixture
def table(tmp_path: Path) -> Sequence[Row]:
    root = tmp_path / "root"
    root.mkdir()
    lay_out(str(root))
    return rows(str(root))


def test_names_in_the_table_are_unique(table: Sequence[Row]) -> None:
    assert len(table) >= 40
    assert len({row.name for row in table}) == len(table)


async def results_on(
    backend: RuntimeBackend, table: Sequence[Row], run_dir: Path
) -> list[tuple[JobResult[JobSpec], bytes]]:
    """Return the result of each job, and its log."""
    with trio.fail_after(TIMEOUT):
        results = await run_jobs([row.spec() for row in table], backend)
    found = []
    for row, result in zip(table, results, strict=True):
        log = Path(job_paths(row.spec(), str(run_dir)).log)
        found.append((result, log.read_bytes() if log.exists() else b""))
    return found


async def assert_same_semantics(backend: RuntimeBackend, table: Sequence[Row], run_dir: Path) -> None:
    found = await results_on(backend, table, run_dir)
    differences = [judge(row, Outcome.of(*one)) for row, one in zip(table, found, strict=True)]
    assert [difference for difference in differences if difference is not None] == []


@pytest.mark.slow
@pytest.mark.parametrize("containment", ["tree", "group"])
async def test_on_this_machine(table: Sequence[Row], containment: str, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    await assert_same_semantics(LocalBackend(run_dir=run_dir, containment=containment), table, run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("containment", ["tree", "group"])
async def test_with_a_ceiling_a_job_means_the_same(table: Sequence[Row], containment: str, tmp_path: Path) -> None:
    """It is started in a cgroup, where there are cgroups."""
    run_dir = tmp_path / "run"
    with_ceiling = [attrs.evolve(row, fields={**row.fields, "memory": 1 << 30}) for row in table]
    await assert_same_semantics(LocalBackend(run_dir=run_dir, containment=containment), with_ceiling, run_dir)


@pytest.mark.slow
async def test_by_a_launcher(table: Sequence[Row], tmp_path: Path) -> None:
    """A launcher gives a status and a message, so kinds and codes are checked by the text."""
    run_dir = tmp_path / "run"

    class Here(ProcessLauncher):
        pass

    Here.run_dir = str(run_dir)
    found = await results_on(LegacyLauncherAdapter(Here, max_parallelism=8), table, run_dir)
    differences = [judge_message(row, *one) for row, one in zip(table, found, strict=True)]
    assert [difference for difference in differences if difference is not None] == []


@pytest.mark.slow
async def test_on_the_fake_slurm(table: Sequence[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = tmp_path / "run"
    with FakeSlurm(Settings(kill_wait=0.2, cpus=64)) as slurm:
        use_fake(slurm, monkeypatch)
        await assert_same_semantics(SlurmBackend(run_dir, poll_interval=0.1, visibility_timeout=20), table, run_dir)


@pytest.mark.slow
async def test_on_the_fake_grid_engine(table: Sequence[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = tmp_path / "run"
    with FakeGridEngine(Settings(cpus=64)) as cluster:
        use_fake(cluster, monkeypatch)
        backend = GridEngineBackend(run_dir, poll_interval=0.1, visibility_timeout=20)
        await assert_same_semantics(backend, table, run_dir)


@pytest.mark.slow
async def test_on_the_fake_lsf(table: Sequence[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = tmp_path / "run"
    with FakeLsf(Settings(kill_wait=0.2, cpus=64)) as cluster:
        use_fake(cluster, monkeypatch)
        await assert_same_semantics(LsfBackend(run_dir, poll_interval=0.1, visibility_timeout=20), table, run_dir)


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
async def test_on_a_real_slurm(slurm: Cluster, table: Sequence[Row], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    await assert_same_semantics(SlurmBackend(run_dir, poll_interval=0.5, visibility_timeout=20), table, run_dir)
    assert slurm.call("squeue", "--noheader") == ""


@pytest.mark.gridengine
@pytest.mark.root
@pytest.mark.slow
async def test_on_a_real_grid_engine(
    grid_engine: gridengine_cluster.Cluster, table: Sequence[Row], tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    backend = GridEngineBackend(run_dir, poll_interval=0.5, visibility_timeout=20)
    await assert_same_semantics(backend, table, run_dir)
    assert grid_engine.jobs() == []
