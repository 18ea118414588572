"""`LsfBackend` on the fake, with real processes: what virtual time does not show."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from runtime.backend.lsf import LsfBackend
from runtime.job import FailureKind, JobSpec, JobStatus
from tests.gridengine.test_backend import is_running
from tests.lsf.fakes import FakeLsf
from tests.lsf.jobs import POLL_INTERVAL
from tests.slurm.fakes.controller import Settings
from tests.slurm.jobs import on_cluster, use_fake


async def test_a_job_that_is_started_again_replaces_its_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Element 1 is told by `LSB_RESTART` that it has begun before; without that, it would find its job claimed."""
    with FakeLsf() as cluster:
        use_fake(cluster, monkeypatch)
        backend = LsfBackend(tmp_path / "run", poll_interval=POLL_INTERVAL, visibility_timeout=2, rerun=True)
        async with on_cluster(backend) as (_, session):
            cmd = f"echo $LSB_JOBINDEX >>{tmp_path}/begun; [ -e {tmp_path}/go ] || exec sleep 1000"
            (handle,) = (await session.submit([JobSpec(name="a", cmd=cmd)])).values()
            await cluster.wait((tmp_path / "begun").exists)
            (tmp_path / "go").touch()
            (job,) = cluster.jobs()
            assert job.node is not None
            cluster.fail_node(job.node)
            assert (await session.completed(handle)).status is JobStatus.PASSED
            assert (tmp_path / "begun").read_text() == "1\n1\n"


@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1"])
async def test_a_soft_step_reaches_the_job_and_not_the_shell_around_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeLsf(Settings(kill_wait=0.2)) as cluster:
        use_fake(cluster, monkeypatch)
        run_dir = tmp_path / "run dir with 'quotes' and $(false)"
        backend = LsfBackend(run_dir, poll_interval=POLL_INTERVAL, soft_stop=name, soft_timeout=30)
        async with on_cluster(backend) as (_, session):
            number = int(signal.Signals[name])
            on_signal = f"trap 'echo soft >>{tmp_path}/soft; exit 0' {number}"
            cmd = f"{on_signal}; touch {tmp_path}/begun; while :; do sleep 0.1; done"
            (handle,) = (await session.submit([JobSpec(name="a", cmd=cmd)])).values()
            await cluster.wait((tmp_path / "begun").exists)
            await session.history.wait_until(lambda: is_running(session))  # what waits gets no soft step
            await backend.kill(handle)
            event = await session.completed(handle)
            assert event.reason is not None
            assert event.reason.kind is FailureKind.CANCELLED
            assert (tmp_path / "soft").read_text() == "soft\n"
            assert [call.arguments for call in cluster.calls if call.program == "bkill"] == [
                ("-s", str(number), "1[1]")
            ]
