"""The command line on a real cluster: it is killed with a hundred jobs in flight, and resumed."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.program import end_of, job_file, results, started
from tests.slurm.cluster import CPUS, NODES, Cluster
from tests.slurm.jobs import Calls

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

COUNT = 100
CODES = {f"job{number}": number % 4 for number in range(COUNT)}
"""The exit code of each job."""


def write_jobs(
    directory: Path,
    backend: str = "slurm",
    element: str = "$SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID",
    codes: Mapping[str, int] = CODES,
) -> list[str]:
    """Write a job file; return the arguments of a run. Each job notes its element when it begins, and its end."""
    for name in ("begun", "ended"):
        (directory / name).mkdir()
    jobs = {
        name: {
            "cmd": f"echo {element} >> {directory}/begun/{name}; until [ -e {directory}/go ]; do sleep 0.2; done;"
            f" echo {code} >> {directory}/ended/{name}; exit {code}"
        }
        for name, code in codes.items()
    }
    return ["run", job_file(directory, jobs, backends={backend: {"poll_interval": 0.2}}), "--backend", backend]


def elements(cluster: Cluster) -> set[str]:
    """Return the elements that are queued or run: array and index of each."""
    return set(cluster.call("squeue", "--array", "--noheader", "--format=%F %K").splitlines())


def lines(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in directory.iterdir()}


def test_a_run_that_is_killed_with_a_hundred_jobs_in_flight_is_resumed(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(tmp_path, monkeypatch)
    words = write_jobs(tmp_path)
    with started(tmp_path, *words) as program:
        slurm.wait(
            lambda: len(elements(slurm)) == COUNT and len(lines(tmp_path / "begun")) == CPUS * len(NODES),
            "all jobs are submitted, and as many run as there are processors",
        )
        program.send_signal(signal.SIGKILL)
        assert program.wait() == -signal.SIGKILL
    submitted, before, asked = calls.of("sbatch"), elements(slurm), len(calls.of("squeue"))
    assert len(before) == COUNT

    with started(tmp_path, *words, "--resume") as program:
        slurm.wait(lambda: len(calls.of("squeue")) > asked + 1, "the queue was asked")
        assert elements(slurm) == before  # all are followed: none is cancelled, none is new
        (tmp_path / "go").touch()
        done = end_of(program)
    assert done.code == 1, done
    assert calls.of("sbatch") == submitted
    assert calls.of("scancel") == []
    assert_each_ran_once(tmp_path, before)


def assert_each_ran_once(directory: Path, elements: set[str], codes: Mapping[str, int] = CODES) -> None:
    """Check that each job began once, as one of these elements, and that the results tell its end."""
    begun = lines(directory / "begun")
    assert set(begun) == set(codes)
    assert set(begun.values()) == elements  # each element began once: a second line would be another value
    own = {name: int(line) for name, line in lines(directory / "ended").items()}
    assert own == codes
    jobs = results(directory)["jobs"]
    assert [job["id"] for job in jobs] == list(codes)
    assert {job["id"]: job["usage"]["exit_code"] for job in jobs} == own
    assert {job["id"]: job["status"] == "passed" for job in jobs} == {name: code == 0 for name, code in own.items()}
    assert {job["attempt"] for job in jobs} == {1}
    passed = json.loads((directory / "results" / "latest" / "results.json").read_text())["counts"]["passed"]
    assert passed == sum(code == 0 for code in codes.values())
