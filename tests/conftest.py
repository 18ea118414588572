"""Fixtures that several rooms share."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest

from runtime.roots import Roots
from tests.gridengine import cluster as gridengine
from tests.slurm.cluster import Cluster, ClusterError
from tests.slurm.cluster_paths import of_this_program

# Whether an example passes does not depend on what else the machine does.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


HERE = Path(__file__).resolve().parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell, where no Ctrl-C would arrive
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection(session: pytest.Session) -> None:
    """Import a share of all tests before they are collected, if other workers do the same with the other shares.

    Each worker collects all tests. To compile a module with assertions that explain themselves takes far longer than to
    load what another has compiled; but in the same order, at the same time, all workers would compile everything.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1 or sys.dont_write_bytecode or [Path(word).resolve() for word in session.config.args] != [HERE]:
        return
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    for path in sorted(HERE.rglob("test_*.py"))[number::workers]:
        with suppress(Exception, pytest.skip.Exception):  # when it is collected, this is said
            importlib.import_module(".".join(path.relative_to(HERE.parent).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that need a network namespace or new environments of their own, unless ``-m`` names them."""
    for mark in ("gridengine", "wheel"):
        if mark not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(mark)]
            if left_out:
                items[:] = [item for item in items if item not in left_out]
                config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Keep what was collected, some 400,000 objects, out of the garbage collections to come: each would visit all."""
    gc.freeze()


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Roots]:
    """The roots of a run whose directory is ``run`` in `tmp_path`."""
    roots = Roots(str(tmp_path / "run"))
    roots.open()
    yield roots
    roots.close()


@pytest.fixture(scope="session")
def grid_engine_cluster() -> Iterator[gridengine.Cluster]:
    """A real Grid Engine for the session; tests want `grid_engine`."""
    try:
        cluster = gridengine.Cluster.create(gridengine.of_this_program())
    except ClusterError as exc:
        pytest.fail(str(exc), pytrace=False)
    with cluster:
        yield cluster


@pytest.fixture
def grid_engine(grid_engine_cluster: gridengine.Cluster, monkeypatch: pytest.MonkeyPatch) -> gridengine.Cluster:
    """A real Grid Engine as good as new, for tests marked `gridengine`; the environment points clients at it."""
    grid_engine_cluster.heal()
    for name, value in grid_engine_cluster.environment.items():
        monkeypatch.setenv(name, value)
    return grid_engine_cluster


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """A real Slurm for the session; tests want `slurm`."""
    try:
        cluster = Cluster.create(of_this_program())
    except ClusterError as exc:
        pytest.fail(str(exc), pytrace=False)
    with cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A real Slurm as good as new, for tests marked `slurm`; the test's environment points clients at it."""
    slurm_cluster.heal()
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm_cluster.environment[name])
    return slurm_cluster
