"""`memory` on real clusters: the kernel ends what needs more, or Slurm does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus
from tests.slurm.cluster import BY_CGROUPS, BY_GATHERING, Cluster, has_cgroups
from tests.slurm.cluster_paths import of_this_program
from tests.slurm.jobs import on_slurm

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

LIMIT = 200 << 20
CODE = """
import os, time
if {forks} and os.fork():
    os.wait()
else:
    x = bytearray(2 << 30)
    time.sleep(1000)
"""

needs_cgroups = pytest.mark.skipif(
    not has_cgroups(), reason="this kernel has no cgroups of version 1, which Slurm 22.05 needs to limit memory"
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(BY_CGROUPS, marks=needs_cgroups, id="cgroup"), pytest.param(BY_GATHERING, id="gathering")],
)
def limiting(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster that limits the memory of jobs."""
    with Cluster.create(of_this_program("memory"), request.param) as cluster:
        yield cluster


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def is_over(event: JobCompletionEvent) -> bool:
    reason = event.reason
    return (
        event.status is JobStatus.FAILED
        and reason is not None
        and reason.kind is FailureKind.OUT_OF_MEMORY
        and "200 MiB of memory that it may use (memory)" in reason.message
    )


async def test_a_job_that_takes_2_gib_is_ended_and_ten_beside_it_pass(
    limiting: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, limiting.environment[name])
    by_kernel = "task/cgroup" in limiting.conf.read_text()
    hungry = {
        "itself": python(CODE.format(forks=False)),
        "its child": python(CODE.format(forks=True)),  # if that alone is killed, the job passes
    }
    specs = [
        *(JobSpec(name=name, cmd=cmd, memory=LIMIT) for name, cmd in hungry.items()),
        *(JobSpec(name=f"innocent{number}", cmd=python("bytearray(20 << 20)"), memory=LIMIT) for number in range(10)),
    ]
    async with on_slurm(tmp_path / "run", visibility_timeout=5) as (_, session):
        handles = await session.submit(specs)
        events = {name: await session.completed(handle) for name, handle in handles.items()}
    over = [events.pop(name) for name in hungry]
    assert [is_over(event) for event in over] == [True, True]
    assert {event.status for event in events.values()} == {JobStatus.PASSED}
    messages = [event.reason.message for event in over if event.reason is not None]
    if by_kernel:
        assert all(message.startswith("used 200 MiB of the 200 MiB ") for message in messages)
        assert all("ended: OUT_OF_MEMORY (OutOfMemory)" in message for message in messages)
    else:
        assert all(message.startswith("used more than the 200 MiB ") for message in messages)
        assert all("ended: FAILED (JobLaunchFailure)" in message for message in messages)
    assert limiting.call("squeue", "--noheader") == ""
