"""The command line on a real cluster: it is killed with a hundred jobs in flight, and resumed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cli.program import end_of, started
from tests.gridengine.cluster import Cluster
from tests.gridengine.jobs import PROGRAMS
from tests.slurm.jobs import Calls
from tests.slurm.test_resume import COUNT, assert_each_ran_once, lines, write_jobs


@pytest.mark.gridengine
@pytest.mark.root
@pytest.mark.slow
def test_a_run_that_is_killed_with_a_hundred_jobs_in_flight_is_resumed(
    grid_engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(tmp_path, monkeypatch, programs=PROGRAMS)
    words = write_jobs(tmp_path, "gridengine", "$JOB_ID $SGE_TASK_ID")
    with started(tmp_path, *words) as program:
        grid_engine.wait(lambda: len(lines(tmp_path / "begun")) == COUNT, "all jobs run", 90)
        program.send_signal(signal.SIGKILL)
        assert program.wait() == -signal.SIGKILL
    submitted, before, asked = calls.of("qsub"), grid_engine.tasks(), len(calls.of("qstat"))
    assert len(before) == COUNT
    with started(tmp_path, *words, "--resume") as program:
        grid_engine.wait(lambda: len(calls.of("qstat")) > asked + 3, "the queue was asked")
        assert grid_engine.tasks() == before  # all are followed: none is cancelled, none is new
        (tmp_path / "go").touch()
        done = end_of(program)
    assert done.code == 1, done
    assert calls.of("qsub") == submitted
    assert calls.of("qdel") == []
    assert_each_ran_once(tmp_path, before)
