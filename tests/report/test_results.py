from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from runtime.job import FailureKind, JobResult, JobSpec, JobUsage
from runtime.job.attempts import paths_of_earlier
from runtime.journal import Begin, End, Kept, Record, Recorder, Removed, Requested, Starting, replay
from runtime.report.results import results_lines
from runtime.report.strict import original
from tests.journal.journals import begin, ended, starting
from tests.journal.sink import Sink
from tests.journal.strategies import RECORDS
from tests.report import schema
from tests.report.results import NONE_APART, result
from tests.report.states import DETAILS, EPOCH, in_a_file, records, state_of

ROOT = Path(__file__).resolve().parents[2]
RUN_DIR = "/out/20260102-030405-abcdef"


def document(written: Sequence[Record], *, is_live: bool = False, run_dir: Path | str = RUN_DIR) -> dict[str, Any]:
    """Return ``results.json`` of these records: what the run itself makes, which is what a reader makes."""
    text = "".join(results_lines(state_of(written, run_dir), is_live=is_live))
    assert text == "".join(results_lines(state_of(in_a_file(written), run_dir), is_live=is_live))
    found: dict[str, Any] = json.loads(text)
    Draft202012Validator(schema.closed()).validate(found)
    return found


def of(*results: JobResult[JobSpec], run_dir: Path | str = RUN_DIR) -> dict[str, Any]:
    return document(records(results, run_dir), run_dir=run_dir)


def test_the_run_is_described() -> None:
    found = document(records([result("a"), result("b", FailureKind.TIMEOUT)], RUN_DIR, stopped_by="SIGINT"))
    (segment,) = found["segments"]
    assert segment.pop("host")
    assert segment.pop("pid") > 0
    started = segment["started"]
    del found["jobs"], found["seconds"], segment["seconds"]
    assert found.pop("buckets") == [{"message": "it failed", "rule": None, "count": 1, "shortest": "b"}]
    assert found == {
        "version": 2,
        "run": "20260102-030405-abcdef",
        "name": "fifo",
        "state": "ended",
        "command": ["job-runtime", "run", "fifo.toml"],
        "directory": "/here",
        "run_dir": RUN_DIR,
        "seed_base": 7,
        "started": started,
        "ended": "2001-09-09T01:46:45.500Z",
        "stopped_by": "SIGINT",
        "counts": {"passed": 1, "failed": 0, "killed": 1, **NONE_APART, "never_ran": 0, "unfinished": 0},
        "segments": [
            {
                "command": ["job-runtime", "run", "fifo.toml"],
                "started": started,
                "ended": "2001-09-09T01:46:45.500Z",
                "stopped_by": "SIGINT",
                "kept": 0,
                "requests": [],
            }
        ],
    }


def test_what_somebody_asked_for_is_told_also_if_a_job_has_written_it() -> None:
    *written, end = records([result("a"), result("b")], RUN_DIR)
    kill = Requested(at=1.0, by="ctl of ann", action="kill", jobs=[1, -1, 2, 10**20], force=True)
    limit = Requested(at=2.0, by="ctl of ann", action="limit", resource="licence", limit=2)
    (segment,) = document([*written, kill, limit, end])["segments"]
    nothing = {"jobs": [], "force": False, "resource": None, "limit": None}
    assert segment["requests"] == [
        {
            **nothing,
            "at": "2001-09-09T01:46:41.000Z",
            "by": "ctl of ann",
            "action": "kill",
            "jobs": ["b"],
            "force": True,
        },
        {**nothing, "at": "2001-09-09T01:46:42.000Z", "by": "ctl of ann", "action": "limit", "resource": "licence"}
        | {"limit": 2},
    ]


def test_jobs_that_never_ran_are_counted_apart() -> None:
    ends = [
        result("a"),
        result("b", FailureKind.EXIT_CODE),
        result("c", FailureKind.TIMEOUT),
        result("d", FailureKind.DEPENDENCY, attempt=0),
        result("e", FailureKind.CANCELLED, attempt=0),
        result("f", FailureKind.CANCELLED),
        result("g", FailureKind.LOST, attempt=0),  # it may be running
    ]
    found = of(*ends)
    assert found["counts"] == {
        "passed": 1,
        "failed": 1,
        "killed": 2,
        **NONE_APART,
        "infrastructure": 1,
        "never_ran": 2,
        "unfinished": 0,
    }
    assert [job["id"] for job in found["jobs"] if job["never_ran"]] == ["d", "e"]
    assert [job["status"] for job in found["jobs"]] == ["passed", "failed", *["killed"] * 5]


def test_a_job_is_described() -> None:
    (job,) = of(
        result(
            "smoke",
            FailureKind.FAIL_PATTERN,
            "bad",
            lines=[3, (7, 9)],
            context=["x", "y"],
            usage=JobUsage(cpu_seconds=1.5000001, exit_code=0, job_runtime=2),
            full_name="smoke.seed=3",
            seed=3,
            tags=["nightly"],
            exports={"A": "1"},
            run_dir=RUN_DIR,
        ),
    )["jobs"]
    assert job == {
        "id": "smoke.seed=3",
        "name": "smoke",
        "status": "failed",
        "kind": "fail_pattern",
        "class": "design",
        "cause": None,
        "known": None,
        "message": "bad",
        "bucket": "bad",
        "lines": [3, [7, 9]],
        "context": ["x", "y"],
        "seed": 3,
        "tags": ["nightly"],
        "never_ran": False,
        "attempt": 1,
        "flaky": False,
        "earlier": [],
        "segment": 1,
        "origin": None,
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
            "job_runtime": 2.0,
            "simulated_time": None,
            "left_behind": None,
        },
        "odir": f"{RUN_DIR}/smoke.seed@3",
        "log": f"{RUN_DIR}/smoke.seed@3/job.log",
        "removed": False,
        "command": f"cd /work && sh {RUN_DIR}/exports.sh smoke.seed=3 /bin/sh -c ./sim",
    }


def test_of_a_run_that_died_each_job_has_a_result_and_nothing_is_invented() -> None:
    written = records([result("a")], RUN_DIR, ended=None, more=[JobSpec(name="b", cmd="x"), JobSpec(name="c", cmd="x")])
    written.append(Starting(2.0, "local", [1], [1]))
    found = document(written)
    assert (found["state"], found["ended"], found["seconds"]) == ("died", None, None)
    assert found["counts"] == {
        "passed": 1,
        "failed": 0,
        "killed": 0,
        **NONE_APART,
        "infrastructure": 1,
        "never_ran": 1,
        "unfinished": 0,
    }
    _, flying, waiting = found["jobs"]
    assert (flying["status"], flying["kind"], flying["never_ran"], flying["attempt"]) == ("killed", "lost", False, 1)
    assert (waiting["status"], waiting["kind"], waiting["never_ran"]) == ("killed", "cancelled", True)
    assert {job[key] for job in (flying, waiting) for key in ("submitted", "started", "ended", "run_seconds")} == {None}
    assert flying["message"] == "the run ended before this job did; its end is not known"


def test_of_a_live_run_jobs_that_have_not_ended_have_no_result() -> None:
    written = records([result("a")], RUN_DIR, ended=None, more=[JobSpec(name="b", cmd="x"), JobSpec(name="c", cmd="x")])
    written.append(Starting(2.0, "local", [1], [1]))
    found = document(written, is_live=True)
    assert (found["state"], found["ended"]) == ("running", None)
    assert found["counts"] == {"passed": 1, "failed": 0, "killed": 0, **NONE_APART, "never_ran": 0, "unfinished": 2}
    assert [(job["status"], job["kind"], job["command"]) for job in found["jobs"][1:]] == [
        ("queued", None, None),
        ("scheduled", None, None),
    ]


def test_a_job_names_the_segment_in_which_it_ended() -> None:
    first = records([result("a"), result("b", FailureKind.EXIT_CODE), result("c")], RUN_DIR)
    resume: list[Record] = [
        begin(1),
        Kept([0]),
        Kept([2], "yesterday"),
        starting(1, attempt=2),
        ended(1, attempt=2),
        End(3.0),
    ]
    found = document([*first, *resume])
    assert [(job["id"], job["status"], job["segment"], job["attempt"], job["origin"]) for job in found["jobs"]] == [
        ("a", "passed", 1, 1, None),
        ("b", "passed", 2, 2, None),
        ("c", "passed", 1, 1, "yesterday"),
    ]
    assert [segment["kept"] for segment in found["segments"]] == [0, 2]


def test_without_a_journal_there_is_a_document_too() -> None:
    found = document([])
    assert (found["state"], found["jobs"], found["segments"], found["started"]) == ("died", [], [], None)


def test_every_key_is_in_the_schema_and_in_the_reference() -> None:
    reference = (ROOT / "docs" / "job-files.md").read_text("utf-8")
    for name, known, required in schema.objects():
        assert required == known, name
        assert [key for key in known if f"`{key}`" not in reference] == []
    Draft202012Validator.check_schema(schema.SCHEMA)


def test_a_job_that_never_ran_has_no_times_of_its_run() -> None:
    (job,) = of(result("a", FailureKind.DEPENDENCY, attempt=0))["jobs"]
    assert (job["attempt"], job["submitted"], job["started"], job["queue_seconds"], job["run_seconds"]) == (
        0,
        *[None] * 4,
    )
    assert (job["odir"], job["log"], job["command"]) == (None, None, "cd /work && /bin/sh -c ./sim")


def test_any_text_survives() -> None:
    evil = 'x\x1b"\\\ud800\u202e\n'
    written = records([result(evil, FailureKind.EXIT_CODE, evil, context=[evil]), result("b")], RUN_DIR)
    jobs = document(written)["jobs"]
    # A lone surrogate is no character: see runtime/report/strict.py.
    strict = evil.replace("\ud800", "\uefed\uefa0\uef80")
    assert (jobs[0]["id"], jobs[0]["message"], jobs[0]["context"]) == (strict, strict, [strict])
    assert original(strict) == evil.encode("utf-8", "surrogatepass")
    assert "".join(results_lines(state_of(written, RUN_DIR))).isascii()


def test_times_that_no_calendar_has_are_not_known() -> None:
    first = Begin(token="t", incarnation=0, at=1e300, epoch=0, host="h", boot="b", pid=1, start=1, details={"name": 7})
    found = json.loads("".join(results_lines(replay([first], RUN_DIR))))
    schema.check(found)
    assert (found["started"], found["name"]) == (None, None)


def test_wall_times_are_utc_with_milliseconds() -> None:
    (job,) = of(result("a"))["jobs"]
    assert job["ended"] == "2001-09-09T01:46:44.500Z"
    assert EPOCH == 1_000_000_000.0


@pytest.mark.slow
@given(written=RECORDS)
def test_what_the_run_makes_of_its_records_is_what_a_reader_makes_of_its_journal(written: list[Record]) -> None:
    for is_live in (False, True):
        text = "".join(results_lines(replay(written, RUN_DIR), is_live=is_live))
        assert text == "".join(results_lines(replay(in_a_file(written), RUN_DIR), is_live=is_live))
        schema.check(json.loads(text))


def test_a_flaky_job_tells_of_its_earlier_attempts() -> None:
    passed = result("a", attempt=2)
    failed = result("a", FailureKind.TIMEOUT, "too long", run_dir=f"{RUN_DIR}/earlier")
    (job,) = of(JobResult(passed.job, attrs.evolve(passed.event, earlier=(failed.event,))))["jobs"]
    assert (job["status"], job["attempt"], job["flaky"]) == ("passed", 2, True)
    assert job["earlier"] == [
        {
            "attempt": 1,
            "status": "killed",
            "kind": "timeout",
            "class": "design",
            "message": "too long",
            "odir": f"{RUN_DIR}/earlier/a",
            "log": f"{RUN_DIR}/earlier/a/job.log",
        }
    ]


def waiting() -> list[Record]:
    """The records of a run with a job whose first attempt has failed, and that waits for the next one."""
    failed = result("a", FailureKind.EXIT_CODE, "exit code 1", run_dir=RUN_DIR).event
    assert failed.paths is not None
    sink = Sink()
    recorder = Recorder(sink, RUN_DIR)
    recorder.begin("token", 1000.0)
    recorder.add([JobSpec(name="a", cmd="x")])
    recorder.starting("local", ["a"], [1], 1.0)
    moved = paths_of_earlier(JobSpec(name="a", cmd="x"), failed.paths, 1)
    recorder.ended([attrs.evolve(failed, paths=moved)], again=True)
    return sink.records


def test_a_job_that_waits_for_its_next_attempt_has_not_failed_and_the_attempt_is_known() -> None:
    found = document(waiting(), is_live=True)
    (job,) = found["jobs"]
    assert (job["status"], job["attempt"], job["kind"], job["log"]) == ("queued", 1, None, None)
    assert found["counts"]["unfinished"] == 1
    # Its files have their names until the next attempt begins.
    (earlier,) = job["earlier"]
    assert (earlier["attempt"], earlier["status"], earlier["log"]) == (1, "failed", f"{RUN_DIR}/a/job.log")
    written = [*waiting(), Starting(2.0, "local", [0], [2])]
    (job,) = document(written, is_live=True)["jobs"]
    assert (job["status"], job["attempt"]) == ("queued", 2)
    assert job["earlier"][0]["log"] == f"{RUN_DIR}/a~attempt1/job.log"


def test_a_job_that_waited_for_its_next_attempt_when_the_run_died_was_killed_by_that() -> None:
    found = document(waiting())
    (job,) = found["jobs"]
    assert (job["status"], job["kind"], job["never_ran"], job["attempt"]) == ("killed", "cancelled", False, 1)
    assert job["message"] == "the run ended before this job was tried again; attempt 1: exit code 1"
    assert job["log"] == f"{RUN_DIR}/a/job.log"
    assert found["counts"]["killed"] == 1
    assert [each["attempt"] for each in job["earlier"]] == [1]
    (job,) = document([*waiting(), Starting(2.0, "local", [0], [2])])["jobs"]
    assert (job["status"], job["kind"], job["attempt"]) == ("killed", "lost", 2)
    assert [each["attempt"] for each in job["earlier"]] == [1]


def test_a_directory_that_was_removed_is_told_of() -> None:
    written = [*records([result(name, run_dir=RUN_DIR) for name in "ab"], RUN_DIR, ended=None), Removed([1]), End(5.5)]
    found = document(written)
    assert [(job["removed"], job["odir"]) for job in found["jobs"]] == [(False, f"{RUN_DIR}/a"), (True, f"{RUN_DIR}/b")]


def test_failures_are_in_the_buckets_of_the_rules_that_the_journal_has_and_consequences_in_none() -> None:
    ends = [
        result("a", FailureKind.EXIT_CODE, "exit code 1", context=["credit 3 lost"]),
        result("b", FailureKind.FAIL_PATTERN, "no \x1b[2J word 3"),
        result("c", FailureKind.FAIL_PATTERN, "no \x1b[2J word 4"),
        result("d", FailureKind.DEPENDENCY, "needs a", attempt=0),
        result("e"),
    ]
    found = document(records(ends, RUN_DIR, details={**DETAILS, "buckets": {"credits": ["credit"], "bad": "x"}}))
    assert [job["bucket"] for job in found["jobs"]] == ["credits", *["no \x1b[<n>J word <n>"] * 2, None, None]
    assert found["buckets"] == [
        {"message": "no \x1b[<n>J word <n>", "rule": None, "count": 2, "shortest": "b"},
        {"message": "credits", "rule": "credits", "count": 1, "shortest": "a"},
    ]
