"""Faults of a real cluster while jobs are live; a campaign does the same with more jobs, and for longer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from runtime.job import JobProgressEvent, JobSpec, JobStatus
from tests.slurm.cluster import Cluster
from tests.slurm.cluster_paths import of_this_program
from tests.slurm.disturbances import DISTURBANCES, SMALL, Disturbance, count_commands, kill_all, play
from tests.slurm.jobs import on_slurm

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster of its own: nodes remember the ids of jobs, so no other test can use one that lost its state."""
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


async def test_a_job_that_is_requeued_by_hand_ends_once_by_its_second_start(slurm: Cluster, tmp_path: Path) -> None:
    """Its first start is ended, and leaves a record; that is not the end of the job."""
    starts, go = tmp_path / "starts", tmp_path / "go"
    cmd = f"echo begun >>{starts}; until [ -e {go} ]; do sleep 0.1; done"
    async with on_slurm(tmp_path / "run", requeue=True, visibility_timeout=5) as (_, session):
        handle = (await session.submit([JobSpec(name="a", cmd=cmd)]))["a"]

        async def begun(times: int) -> None:
            while not starts.exists() or starts.read_text().count("\n") < times:  # noqa: ASYNC110 - a job's file
                await trio.sleep(0.1)

        def reported() -> list[JobStatus]:
            events = [event for event in session.history.events if isinstance(event, JobProgressEvent)]
            return [status for status, _ in itertools.groupby(event.status for event in events)]

        await begun(1)
        await session.history.wait_until(lambda: JobStatus.RUNNING in reported())
        (job_id,) = slurm.call("squeue", "--noheader", "--array", "--format=%A").split()
        slurm.call("scontrol", "requeue", job_id)
        await session.history.wait_until(lambda: reported()[-1] is JobStatus.QUEUED)
        await trio.sleep(6)  # longer than the visibility timeout
        slurm.call("scontrol", "update", f"JobId={job_id}", "StartTime=now")
        await begun(2)
        go.touch()
        event = await session.completed(handle)
    assert event.status is JobStatus.PASSED
    assert starts.read_text() == "begun\nbegun\n"
    assert reported()[-3:] == [JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.RUNNING]
