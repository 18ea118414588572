from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.job import FailureKind, JobResult, JobSpec, JobUsage
from runtime.report.results import RunRecord, wall_time, write_results
from runtime.report.strict import original
from runtime.roots import Roots
from tests.report.results import result

ROOT = Path(__file__).resolve().parents[2]

RECORD = RunRecord(
    run="20260102-030405-abcdef",
    name="fifo",
    command=["job-runtime", "run", "fifo.toml"],
    directory="/here",
    seed_base=7,
    epoch=1_000_000_000.0,
    started=1.0,
    ended=5.5,
)


def written(path: Path, *results: JobResult[JobSpec], record: RunRecord = RECORD) -> dict[str, Any]:
    roots = Roots(str(path))
    roots.open()
    with closing(roots):
        write_results(roots.run.below("results.json"), record, results)
    assert {file.name for file in path.iterdir()} - {"exports.sh"} == {"results.json"}
    document: dict[str, Any] = json.loads((path / "results.json").read_bytes())
    return document


def test_the_run_is_described(tmp_path: Path) -> None:
    document = written(
        tmp_path, result("a"), result("b", FailureKind.TIMEOUT), record=attrs.evolve(RECORD, stopped_by="SIGINT")
    )
    del document["jobs"]
    assert document == {
        "version": 2,
        "run": "20260102-030405-abcdef",
        "name": "fifo",
        "command": ["job-runtime", "run", "fifo.toml"],
        "directory": "/here",
        "run_dir": str(tmp_path),
        "seed_base": 7,
        "started": "2001-09-09T01:46:41.000Z",
        "ended": "2001-09-09T01:46:45.500Z",
        "seconds": 4.5,
        "stopped_by": "SIGINT",
        "counts": {"passed": 1, "failed": 0, "killed": 1, "never_ran": 0},
    }


@pytest.mark.parametrize("name", ["results.json", "exports.sh"])
def test_a_directory_in_its_place_is_moved_aside(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / name / "file").write_text("theirs")
    roots = Roots(str(tmp_path))
    roots.open()
    with closing(roots):
        write_results(roots.run.below("results.json"), RECORD, [result("a", exports={"A": "1"})])
    assert json.loads((tmp_path / "results.json").read_bytes())["counts"]["passed"] == 1
    assert (tmp_path / "exports.sh").is_file()
    (aside,) = tmp_path.glob(f"{name}.*.moved")
    assert (aside / "file").read_text() == "theirs"
    assert f"{name} was a directory; it is renamed to {aside.name}" in caplog.text


def test_jobs_that_never_ran_are_counted_apart(tmp_path: Path) -> None:
    ends = [
        result("a"),
        result("b", FailureKind.EXIT_CODE),
        result("c", FailureKind.TIMEOUT),
        result("d", FailureKind.DEPENDENCY, attempt=0),
        result("e", FailureKind.CANCELLED, attempt=0),
        result("f", FailureKind.CANCELLED),
        result("g", FailureKind.LOST, attempt=0),  # it may be running
    ]
    document = written(tmp_path, *ends)
    assert document["counts"] == {"passed": 1, "failed": 1, "killed": 3, "never_ran": 2}
    assert [job["id"] for job in document["jobs"] if job["never_ran"]] == ["d", "e"]
    assert [job["status"] for job in document["jobs"]] == ["passed", "failed", *["killed"] * 5]


def test_a_job_is_described(tmp_path: Path) -> None:
    (job,) = written(
        tmp_path,
        result(
            "smoke",
            FailureKind.FAIL_PATTERN,
            "bad",
            lines=[3, (7, 9)],
            context=["x", "y"],
            usage=JobUsage(cpu_seconds=1.5, exit_code=0),
            full_name="smoke.seed=3",
            seed=3,
            tags=["nightly"],
            exports={"A": "1"},
            run_dir=tmp_path,
        ),
    )["jobs"]
    assert job == {
        "id": "smoke.seed=3",
        "name": "smoke",
        "status": "failed",
        "kind": "fail_pattern",
        "message": "bad",
        "lines": [3, [7, 9]],
        "context": ["x", "y"],
        "seed": 3,
        "tags": ["nightly"],
        "never_ran": False,
        "attempt": 1,
        "submitted": "2001-09-09T01:46:41.000Z",
        "started": "2001-09-09T01:46:42.000Z",
        "ended": "2001-09-09T01:46:44.500Z",
        "queue_seconds": 1.0,
        "run_seconds": 2.5,
        "usage": {
            "cpu_seconds": 1.5,
            "peak_bytes": None,
            "exit_code": 0,
            "signal": None,
            "job_runtime": None,
            "simulated_time": None,
            "left_behind": None,
        },
        "odir": f"{tmp_path}/smoke.seed@3",
        "log": f"{tmp_path}/smoke.seed@3/job.log",
        "command": f"cd /work && sh {tmp_path}/exports.sh smoke.seed=3 /bin/sh -c ./sim",
    }


def test_every_key_is_in_the_reference(tmp_path: Path) -> None:
    reference = (ROOT / "docs" / "job-files.md").read_text("utf-8")
    document = written(tmp_path, result("a", usage=JobUsage()))
    (job,) = document["jobs"]
    missing = [key for table in (document, job, job["usage"]) for key in table if f"`{key}`" not in reference]
    assert missing == []


def test_a_job_that_never_ran_has_no_times_of_its_run(tmp_path: Path) -> None:
    (job,) = written(tmp_path, result("a", FailureKind.DEPENDENCY, attempt=0))["jobs"]
    assert (job["attempt"], job["submitted"], job["started"], job["queue_seconds"], job["run_seconds"]) == (
        0,
        *[None] * 4,
    )
    assert (job["odir"], job["log"], job["command"]) == (None, None, "cd /work && /bin/sh -c ./sim")


def test_any_text_survives(tmp_path: Path) -> None:
    evil = 'x\x1b"\\\ud800\u202e\n'
    jobs = written(tmp_path, result(evil, FailureKind.EXIT_CODE, evil, context=[evil]), result("b"))["jobs"]
    strict = evil.replace(
        "\ud800", "\uefed\uefa0\uef80"
    )  # a lone surrogate is no character: see runtime/report/strict.py
    assert (jobs[0]["id"], jobs[0]["message"], jobs[0]["context"]) == (strict, strict, [strict])
    assert original(strict) == evil.encode("utf-8", "surrogatepass")
    assert (tmp_path / "results.json").read_bytes().isascii()


def test_no_jobs_are_a_document_too(tmp_path: Path) -> None:
    assert written(tmp_path)["jobs"] == []


def test_an_older_file_is_replaced_as_a_whole_or_stays(tmp_path: Path) -> None:
    written(tmp_path, result("old"))

    @attrs.frozen
    class Broken:
        event = result().event
        job = None

    with pytest.raises(AttributeError):
        written(tmp_path, result("new"), Broken())  # type: ignore[arg-type]  # it breaks in the middle
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert json.loads((tmp_path / "results.json").read_text())["jobs"][0]["id"] == "old"


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "results.json").symlink_to("../precious")
    written(run_dir, result())
    assert (tmp_path / "precious").read_text() == "precious"


def test_wall_times_are_utc_with_milliseconds() -> None:
    assert wall_time(0.0004) == "1970-01-01T00:00:00.000Z"
    assert wall_time(1_000_000_000.9876) == "2001-09-09T01:46:40.987Z"
