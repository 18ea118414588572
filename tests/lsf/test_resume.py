"""The command line on the fake: it is killed with jobs in flight, and resumed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import end_of, started
from tests.lsf.fakes import FakeLsf
from tests.slurm.fakes.controller import Settings
from tests.slurm.jobs import use_fake
from tests.slurm.test_resume import CODES, assert_each_ran_once, lines, write_jobs

SOME = dict(list(CODES.items())[:8])


def wait(condition: Callable[[], object]) -> None:
    """Wait until something holds that other processes bring about."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_killed_with_jobs_in_flight_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeLsf(Settings(cpus=2)) as cluster:  # half of the jobs wait
        use_fake(cluster, monkeypatch)
        words = write_jobs(tmp_path, "lsf", "$LSB_JOBID $LSB_JOBINDEX", SOME)
        with started(tmp_path, *words) as program:
            wait(lambda: len(lines(tmp_path / "begun")) == 4 and cluster.count("bjobs") > 1)
            program.send_signal(signal.SIGKILL)
            assert program.wait() == -signal.SIGKILL
        before, asked = {f"{job.array_id} {job.index}" for job in cluster.jobs()}, cluster.count("bjobs")
        assert len(before) == len(SOME)
        with started(tmp_path, *words, "--resume") as program:
            wait(lambda: cluster.count("bjobs") > asked + 2)
            (tmp_path / "go").touch()
            done = end_of(program)
        assert done.code == 1, done
        assert "has not been run on a real LSF yet" in done.out
        assert (cluster.count("bsub"), cluster.count("bkill")) == (1, 0)
        assert_each_ran_once(tmp_path, before, SOME)
