from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest

from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.report.expectations import Expectations
from runtime.report.live_area import render
from runtime.report.progress import MAX_RECENT, RunProgress, expected_line, progress_line, reasons_line
from runtime.scheduler.statuses import StatusChange
from tests.report.results import result

S = JobStatus


def change(
    name: str, new: JobStatus, at: float = 0.0, kind: FailureKind | None = None, note: str | None = None
) -> StatusChange[JobSpec]:
    ended = result(name, kind)
    return StatusChange(ended.job, name, S.QUEUED, new, at, note, ended.event if new.is_terminal else None)


def text(progress: RunProgress, counts: dict[JobStatus, int], now: float = 0.0) -> str:
    return "".join(piece for piece, _ in progress_line(progress.snapshot(counts, now)))


def test_running_jobs_are_those_that_began_and_did_not_end() -> None:
    progress = RunProgress("fifo", 10.0)
    for name, new, at in [("a", S.RUNNING, 11), ("b", S.RUNNING, 12), ("a", S.PASSED, 13), ("c", S.QUEUED, 13)]:
        progress.apply(change(name, new, at, note="here"))
    progress.apply(change("b", S.RUNNING, 14, note="there"))  # a new note, not a new start
    snapshot = progress.snapshot({}, 15.0)
    assert snapshot.running == [("b", 3.0, "there")]
    assert snapshot.elapsed == 5.0
    progress.apply(change("b", S.QUEUED, 16))
    assert progress.snapshot({}, 17.0).running == []


def test_jobs_that_wait_for_something_known_are_told_until_they_run_or_end() -> None:
    progress = RunProgress("fifo", 10.0)
    for name, at, note in [
        ("a", 11, "Priority"),
        ("b", 12, None),
        ("c", 12, "waits for a line"),
        ("a", 13, "Resources"),
    ]:
        progress.apply(change(name, S.QUEUED, at, note=note))
    assert progress.snapshot({}, 15.0).waiting == [("a", 4.0, "Resources"), ("c", 3.0, "waits for a line")]
    assert progress.snapshot({}, 15.0, rows=1).waiting == [("a", 4.0, "Resources")]
    progress.apply(change("c", S.RUNNING, 16, note=""))
    progress.apply(change("a", S.KILLED, 16, kind=FailureKind.CANCELLED))
    snapshot = progress.snapshot({}, 17.0)
    assert (snapshot.waiting, snapshot.running) == ([], [("c", 1.0, "")])


def test_a_snapshot_has_as_many_rows_as_asked_the_oldest_first() -> None:
    progress = RunProgress("fifo", 0.0)
    for number in range(10):
        progress.apply(change(str(number), S.RUNNING))
    assert [row[0] for row in progress.snapshot({}, 0.0, rows=3).running] == ["0", "1", "2"]


def test_failures_are_returned_once_and_the_last_stay_in_the_snapshot() -> None:
    progress = RunProgress("fifo", 0.0)
    for number in range(MAX_RECENT + 2):
        progress.apply(change(str(number), S.FAILED, kind=FailureKind.EXIT_CODE))
    progress.apply(change("ok", S.PASSED))
    progress.apply(change("after", S.KILLED, kind=FailureKind.DEPENDENCY))  # a consequence
    assert [each.id for each in progress.take_failures()] == [str(number) for number in range(MAX_RECENT + 2)]
    assert progress.take_failures() == []
    assert [each.id for each in progress.snapshot({}, 0.0).recent] == [str(n) for n in range(2, MAX_RECENT + 2)]


def test_a_line_counts_everything() -> None:
    progress = RunProgress("fifo", 0.0)
    counts = {S.SCHEDULED: 1, S.QUEUED: 2, S.RUNNING: 3, S.PASSED: 4, S.FAILED: 5, S.KILLED: 6}
    counted = {"passed": 4, "failed": 3, "killed": 1, "infrastructure": 2, "known": 1, "never_ran": 4}
    snapshot = progress.snapshot(counts, 61, counted=counted)
    expected = (
        "[1:01] 15/21 done: 4 passed, 3 failed, 1 killed, 2 infrastructure, 1 known, 4 never ran, 3 running, 3 waiting"
    )
    assert "".join(piece for piece, _ in progress_line(snapshot)) == expected
    assert text(progress, counts, 61) == "[1:01] 15/21 done: 4 passed, 5 failed, 6 killed, 3 running, 3 waiting"
    progress.stopping = "SIGINT"
    assert text(progress, {}).endswith("0 running, 0 waiting (SIGINT)")


def test_a_line_says_what_jobs_wait_for_if_none_runs() -> None:
    progress = RunProgress("fifo", 0.0)
    resources: dict[str, tuple[int, int | None]] = {"licence": (0, 0), "gpu\x1b": (1, None), "other": (0, 1)}

    def line(running: int, paused_by: str | None = None) -> str:
        counts = {S.SCHEDULED: 2, S.RUNNING: running}
        snapshot = progress.snapshot(
            counts, 0.0, resources=resources, lacking=["licence", "gpu\x1b"], paused_by=paused_by
        )
        return "".join(piece for piece, _ in progress_line(snapshot)).partition("waiting")[2]

    assert line(0) == " (jobs wait for licence, the limit of which is 0) (jobs wait for gpu\\x1b)"
    assert line(1) == ""
    assert line(0, paused_by="ann") == " (launching is paused by ann)"


def test_a_job_that_is_tried_again_has_a_line_and_is_no_failure_yet() -> None:
    progress = RunProgress("fifo", 0.0)
    progress.apply(change("a", S.RUNNING))
    failed = result("a", FailureKind.EXIT_CODE, "exit\x1b 1")
    note = "attempt 1 did not pass; the next one begins in 5 s"
    progress.apply(StatusChange(failed.job, "a", S.RUNNING, S.QUEUED, 1.0, note, failed.event))
    assert progress.take_failures() == []
    assert [["".join(piece for piece, _ in line) for line in progress.take_retries()] for _ in range(2)] == [
        [f"RETRY  a: exit\\x1b 1; {note}"],
        [],
    ]
    assert progress.snapshot({}, 2.0).running == []


NIGHTS = Expectations(5, {"smoke": 60.0}, frozenset({"old"}))


def lines(progress: RunProgress, counts: dict[JobStatus, int], now: float) -> tuple[str, str]:
    snapshot = progress.snapshot(counts, now)
    expected, reasons = ("".join(text for text, _ in line(snapshot)) for line in (expected_line, reasons_line))
    return expected, reasons


def test_the_time_left_new_failures_and_slow_jobs_have_a_line() -> None:
    progress = RunProgress("fifo", 0.0)
    progress.add([("smoke", None)])
    for name, kind in (
        ("old", FailureKind.EXIT_CODE),
        ("new", FailureKind.EXIT_CODE),
        ("net", FailureKind.NODE_FAILURE),
    ):
        progress.apply(change(name, S.FAILED, kind=kind))
    progress.apply(change("smoke", S.RUNNING, 0.0))
    counts = {S.RUNNING: 1, S.QUEUED: 2, S.SCHEDULED: 3}
    assert lines(progress, counts, 10.0) == ("", "waiting: 3 for what they need, 2 for a slot")
    progress.expect(NIGHTS)  # what was before counts, too
    assert lines(progress, {S.RUNNING: 1}, 10.0) == ("about 50 s left (as in 5 earlier runs), 1 new failure", "")
    progress.apply(change("newer", S.FAILED, kind=FailureKind.EXIT_CODE))
    assert lines(progress, {S.RUNNING: 1}, 1000.0)[0] == (
        "about 10 s left (as in 5 earlier runs), 2 new failures, 1 slow"
    )
    assert progress.snapshot({}, 0.0).new_ids == {"new", "newer"}
    progress.stopping = "SIGINT"
    assert lines(progress, {S.RUNNING: 1}, 10.0)[0] == "2 new failures, 1 slow"


def test_without_earlier_runs_no_failure_is_called_new() -> None:
    progress = RunProgress("fifo", 0.0)
    progress.apply(change("new", S.FAILED, kind=FailureKind.EXIT_CODE))
    progress.expect(Expectations())
    assert lines(progress, {}, 10.0)[0] == ""
    assert not progress.snapshot({}, 0.0).new_ids


@pytest.mark.parametrize("columns", [50, 80])
def test_the_work_for_a_picture_does_not_grow_with_the_number_of_jobs(columns: int) -> None:
    def steps(jobs: int) -> int:
        progress = RunProgress("fifo", 0.0)
        progress.add((f"job{number}", None) for number in range(4 * jobs))
        progress.expect(Expectations(5, {f"job{number}": 1.0 for number in range(jobs)}, frozenset()))
        for number in range(jobs):
            progress.apply(change(f"job{number}", S.RUNNING, 1.0))
            progress.apply(change(f"job{number + jobs}", S.QUEUED, 1.0, note=f"reason {number}"))
            progress.apply(change(f"job{number + 2 * jobs}", S.FAILED, 1.0, FailureKind.EXIT_CODE))
        counts = {S.RUNNING: jobs, S.QUEUED: 2 * jobs, S.FAILED: jobs}
        progress.snapshot(counts, 500.0, rows=100)  # they become slow once
        render(progress.snapshot(counts, 500.0, rows=100), Path("/out"), (columns, 24))
        taken = 0

        def count(frame: FrameType, event: str, _: object) -> None:
            nonlocal taken
            taken += 1

        sys.setprofile(count)
        try:
            render(progress.snapshot(counts, 500.0, rows=100), Path("/out"), (columns, 24))
        finally:
            sys.setprofile(None)
        return taken

    assert steps(3000) < 1.05 * steps(300)
