"""A real cluster is disturbed while jobs are live; a campaign does it with more jobs, and for longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.disturbances import DISTURBANCES, SMALL, Disturbance, count_commands, kill_all, play
from tests.slurm.places import of_this_program

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """One of its own: nodes remember the ids of jobs, so a controller that went back in time is no good to others."""
    with Cluster.create(of_this_program("disturbed")) as created:
        yield created


@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda disturb: disturb.__name__)
async def test_each_event_agrees_with_what_the_job_wrote(
    cluster: Cluster, tmp_path: Path, disturb: Disturbance
) -> None:
    await play(cluster, tmp_path, SMALL, disturb, seed=1)


async def test_short_jobs_cost_few_commands(slurm: Cluster, tmp_path: Path) -> None:
    await count_commands(slurm, tmp_path, 150, poll_interval=0.5)


async def test_many_elements_are_killed_by_few_commands(slurm: Cluster, tmp_path: Path) -> None:
    await kill_all(slurm, tmp_path, 100)
