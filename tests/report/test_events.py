from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import attrs
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from runtime.job import FailureKind, JobResult, JobStatus
from runtime.journal import Begin, Kept, Progress, Record, Removed, Requested, Stopping
from runtime.report.events import EventLines, event_lines
from tests.journal.strategies import RECORDS
from tests.report.results import result
from tests.report.states import EPOCH, in_a_file, records

RUN_DIR = "/out/20260102-030405-abcdef"
SCHEMA = json.loads(resources.files("runtime.report").joinpath("events.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def events(written: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the events of records: the same for what a run has in memory and for what a reader of its journal gets."""
    text = "".join(event_lines(written, RUN_DIR))
    assert text == "".join(event_lines(in_a_file(written), RUN_DIR))
    assert text.isascii()
    found = [json.loads(line) for line in text.splitlines()]
    for event in found:
        VALIDATOR.validate(event)
    return found


def test_each_event_stands_for_itself() -> None:
    failed = result("smoke", FailureKind.TIMEOUT, "too long", seed=7, tags=["nightly"], run_dir=RUN_DIR)
    passed = result("smoke", attempt=2, seed=7, tags=["nightly"], run_dir=RUN_DIR)
    flaky = JobResult(passed.job, attrs.evolve(passed.event, earlier=(failed.event,)))
    begin, *written, end = records([flaky], RUN_DIR, stopped_by="SIGINT")
    assert isinstance(begin, Begin)
    begin = attrs.evolve(begin, at=EPOCH, host="node7", pid=4711)
    limit = Requested(at=1.5, by="ctl of ann", action="limit", jobs=[0, 9], resource="licence", limit=2)
    more: list[Record] = [Progress([0], [2], [JobStatus.RUNNING], [2.0], ["node8"]), limit, Stopping(4.0, "SIGINT")]
    found = events([begin, *written[:-1], *more, written[-1], Removed([0]), end])
    end_of = {"class": None, "known": None, "never_ran": False, "run_seconds": 2.5}
    assert found == [
        {
            "type": "run_begun",
            "at": "2001-09-09T01:46:40.000Z",
            "run": "20260102-030405-abcdef",
            "name": "fifo",
            "run_dir": RUN_DIR,
            "segment": 1,
            "host": "node7",
            "pid": 4711,
        },
        {"type": "job", "at": None, "id": "smoke", "name": "smoke", "seed": 7, "tags": ["nightly"]},
        {"type": "starting", "at": "2001-09-09T01:46:41.000Z", "id": "smoke", "attempt": 1, "backend": "local"},
        {
            "type": "attempt_ended",
            "at": "2001-09-09T01:46:44.500Z",
            "id": "smoke",
            "attempt": 1,
            "status": "killed",
            "kind": "timeout",
            **end_of,
            "class": "design",
            "message": "too long",
            "started": "2001-09-09T01:46:42.000Z",
            "odir": f"{RUN_DIR}/smoke",
            "log": f"{RUN_DIR}/smoke/job.log",
        },
        {"type": "starting", "at": "2001-09-09T01:46:41.000Z", "id": "smoke", "attempt": 2, "backend": "local"},
        {"type": "running", "at": "2001-09-09T01:46:42.000Z", "id": "smoke", "attempt": 2, "note": "node8"},
        {
            "type": "requested",
            "at": "2001-09-09T01:46:41.500Z",
            "by": "ctl of ann",
            "action": "limit",
            "jobs": ["smoke"],
            "force": False,
            "resource": "licence",
            "limit": 2,
        },
        {"type": "stopping", "at": "2001-09-09T01:46:44.000Z", "by": "SIGINT"},
        {
            "type": "job_ended",
            "at": "2001-09-09T01:46:44.500Z",
            "id": "smoke",
            "attempt": 2,
            "status": "passed",
            "kind": None,
            **end_of,
            "message": None,
            "started": "2001-09-09T01:46:42.000Z",
            "odir": f"{RUN_DIR}/smoke",
            "log": f"{RUN_DIR}/smoke/job.log",
        },
        {"type": "removed", "at": None, "id": "smoke"},
        {"type": "run_ended", "at": "2001-09-09T01:46:45.500Z", "stopped_by": "SIGINT"},
    ]


def test_times_are_of_the_clock_of_their_segment() -> None:
    first = records([result("a")], RUN_DIR)
    begin = first[0]
    assert isinstance(begin, Begin)
    second: list[Record] = [attrs.evolve(begin, incarnation=1, epoch=EPOCH + 60), Kept([0]), first[-1]]
    found = events([*first, *second])
    assert [(each["type"], each.get("segment")) for each in found[-3:]] == [
        ("run_begun", 2),
        ("kept", None),
        ("run_ended", None),
    ]
    assert found[-1]["at"] == "2001-09-09T01:47:45.500Z"
    assert found[-2] == {"type": "kept", "at": None, "id": "a", "of": None}


def test_lines_are_made_record_by_record() -> None:
    written = records([result(f"{n}") for n in range(3)], RUN_DIR)
    lines = EventLines(RUN_DIR).of
    assert "".join(line for record in written for line in lines(record)) == "".join(event_lines(written, RUN_DIR))


@pytest.mark.slow
@given(written=RECORDS)
def test_whatever_is_in_a_journal_each_line_is_valid(written: list[Record]) -> None:
    events(written)
