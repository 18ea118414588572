from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import attrs
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from runtime.job import FailureKind, JobResult, JobSpec, JobUsage
from runtime.journal import Begin, End, Kept, Record, Requested, Sampled, replay
from runtime.report.mean_over_time import MeanOverTime
from runtime.report.trace import trace_lines
from tests.journal.strategies import RECORDS
from tests.report.results import result
from tests.report.states import EPOCH, records

RUN_DIR = "/out/20260102-030405-abcdef"
SCHEMA = json.loads(resources.files("runtime.report").joinpath("trace.schema.json").read_text("utf-8"))


def trace(written: Sequence[Record], *, is_live: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("".join(trace_lines(replay(written, RUN_DIR), is_live=is_live)))
    Draft202012Validator(SCHEMA).validate(found)
    return found


def of(*results: JobResult[JobSpec], more: Sequence[Record] = ()) -> list[dict[str, Any]]:
    """Return the events of a run that began at second 0 of its clock."""
    begin, *rest = records(results, RUN_DIR, ended=None)
    assert isinstance(begin, Begin)
    events: list[dict[str, Any]] = trace([attrs.evolve(begin, at=EPOCH), *rest, *more, End(10.0)])["traceEvents"]
    return events


def ran(name: str, start: float | None, end: float, kind: FailureKind | None = None, **more: Any) -> JobResult[JobSpec]:
    found = result(name, kind, **more)
    return JobResult(found.job, attrs.evolve(found.event, submitted=0.5, started=start, ended=end))


def slices(events: Sequence[dict[str, Any]]) -> list[tuple[str, int, float, float]]:
    """Return name, slot, start and duration in seconds of each attempt."""
    return [
        (each["name"], each["tid"], each["ts"] / 1e6, each["dur"] / 1e6)
        for each in events
        if each["ph"] == "X" and each["pid"]
    ]


def counters(events: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for each in events:
        if each["ph"] == "C":
            found.setdefault(each["name"], []).append((each["ts"] / 1e6, each["args"]["value"]))
    return found


def test_an_attempt_is_in_the_first_slot_that_is_free() -> None:
    events = of(ran("d", 3, 4), ran("a", 1, 3), ran("b", 2, 5), ran("c", 2.5, 6), ran("never", None, 1))
    assert slices(events) == [("a", 1, 1, 2), ("b", 2, 2, 3), ("c", 3, 2.5, 3.5), ("d", 1, 3, 1)]
    names = {(each["pid"], each["tid"]): each["args"]["name"] for each in events if each["name"] == "thread_name"}
    assert names == {(0, 0): "processes of job-runtime", (1, 1): "slot 1", (1, 2): "slot 2", (1, 3): "slot 3"}
    processes = {each["pid"]: each["args"]["name"] for each in events if each["name"] == "process_name"}
    assert processes == {0: "fifo", 1: "backend local"}


def test_an_attempt_says_what_became_of_it() -> None:
    failed = ran("a", 1, 2, FailureKind.TIMEOUT, message="too long", run_dir=f"{RUN_DIR}/earlier")
    passed = ran("a", 3, 5, attempt=2, seed=7, run_dir=RUN_DIR)
    events = of(JobResult(passed.job, attrs.evolve(passed.event, earlier=(failed.event,))))
    first, second = [each for each in events if each["ph"] == "X" and each["pid"]]
    assert (first["ts"], first["dur"], first["cat"], first["args"]) == (
        1_000_000,
        1_000_000,
        "killed",
        {
            "job": "a",
            "attempt": 1,
            "status": "killed",
            "kind": "timeout",
            "message": "too long",
            "seed": 7,
            "log": f"{RUN_DIR}/earlier/a/job.log",
        },
    )
    assert (second["ts"], second["dur"], second["cat"], second["args"]["attempt"]) == (
        3_000_000,
        2_000_000,
        "passed",
        2,
    )


def test_the_processes_of_the_run_and_what_was_asked_for_are_on_the_row_of_the_run() -> None:
    limit = Requested(at=2.0, by="ctl of ann", action="limit", resource="licence", limit=2)
    events = of(ran("a", 1, 3), more=[limit])
    (process,) = [each for each in events if each["ph"] == "X" and not each["pid"]]
    assert (process["ts"], process["dur"]) == (0, 10_000_000)
    (request,) = [each for each in events if each["ph"] == "i"]
    assert (request["name"], request["ts"]) == ("limit", 2_000_000)
    assert request["args"] == {"by": "ctl of ann", "jobs": 0, "resource": "licence", "limit": 2}
    assert counters(events)["limit of licence"] == [(2, 2)]


def test_what_is_in_use_is_counted() -> None:
    usage = JobUsage(cpu_seconds=4.0, peak_bytes=100_000_000)
    found = counters(of(ran("a", 0, 2, usage=usage), ran("b", 1, 4)))
    assert found["running jobs"] == [(0, 1), (1, 2), (2, 1), (4, 0)]
    assert found["CPUs (mean of each job)"] == [(0, 2), (2, 0)]
    assert found["memory in MB (largest process of each job)"] == [(0, 100), (2, 0)]


def test_a_mean_is_over_a_part_of_the_time() -> None:
    mean = MeanOverTime(100, 10)
    for start, end in ((5, 10), (0, 10), (15, 35), (35, 36)):
        mean.add(start, end, 2)
    assert list(mean.values()) == [(0, 3), (10, 1), (20, 2), (30, 1.2), (40, 0)]


def test_results_of_another_run_are_not_shown() -> None:
    begin, jobs, *rest = records([result("a")], RUN_DIR)
    assert slices(trace([begin, jobs, Kept([0], "yesterday"), rest[-2], rest[-1]])["traceEvents"]) == []


@pytest.mark.slow
@given(written=RECORDS)
def test_whatever_is_in_a_journal_the_trace_is_valid_and_no_slot_has_two_jobs_at_once(written: list[Record]) -> None:
    for is_live in (False, True):
        free: dict[tuple[int, int], int] = {}
        for each in trace(written, is_live=is_live)["traceEvents"]:
            if each["ph"] == "X" and each["pid"]:
                row = each["pid"], each["tid"]
                assert each["ts"] >= free.get(row, 0)
                free[row] = each["ts"] + each["dur"]


def test_what_was_in_use_of_the_machine_and_of_resources_is_drawn_until_the_end() -> None:
    more = [Sampled(2.0, 1.5, 3_000_000, {"licence": [2, 4]}), Sampled(6.0, None, 4_500_000, {"licence": [0, 4]})]
    found = counters(of(ran("a", 1.0, 3.0), more=more))
    assert found["licence in use"] == [(2.0, 2), (6.0, 0), (10.0, 0)]
    assert found["CPUs of the machine"] == [(2.0, 1.5), (10.0, 0)]
    assert found["memory of the machine in MB"] == [(2.0, 3.0), (6.0, 4.5), (10.0, 0)]


def test_samples_of_any_number_are_numbers_that_every_reader_has() -> None:
    counters(of(more=[Sampled(1e300, 1e300, 10**400, {"a\x1b": [10**400, None], "b": [-1, 0]})]))
