"""Fixtures that several rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from runtime.roots import Roots
from tests.slurm.cluster import Cluster, ClusterError
from tests.slurm.cluster_paths import of_this_program

# Whether an example passes does not depend on what else the machine does.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Roots]:
    """The roots of a run whose directory is ``run`` in `tmp_path`."""
    roots = Roots(str(tmp_path / "run"))
    roots.open()
    yield roots
    roots.close()


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
