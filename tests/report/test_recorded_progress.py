"""A display of a run that another process runs shows what its own display would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.job.status import FAILED, PASSED, QUEUED, RUNNING, SCHEDULED
from runtime.journal import Progress, Record, Recorder, Starting
from runtime.journal.records import Ended, Jobs
from runtime.report.progress import RunSnapshot
from runtime.report.recorded_progress import RecordedProgress
from tests.journal.sink import Sink
from tests.report.results import result
from tests.report.states import DETAILS, EPOCH

NAMES: Final = ("a", "b", "c", "d")


class Run:
    """A run, the records of which are applied as they are written."""

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        self.sink = Sink()
        self.recorder = Recorder(self.sink, "/runs/one", details=DETAILS)
        self.recorded = RecordedProgress("/runs/one")
        self.recorder.begin("token", EPOCH)
        self.recorder.add([JobSpec(name=name, cmd="true") for name in names])
        self._applied = 0

    def look(self, at: float = 10.0) -> RunSnapshot:
        """Apply the new records; return a snapshot, so many seconds after the beginning."""
        records: Sequence[Record] = self.sink.records
        for record in records[self._applied :]:
            self.recorded.apply(record)
        self._applied = len(records)
        snapshot = self.recorded.snapshot(EPOCH + at)
        assert sum(snapshot.counts.values()) == len(self.recorded.state.numbers)
        assert all(count >= 0 for count in snapshot.counts.values())
        return snapshot

    def start(self, *names: str, at: float = 1.0, attempt: int = 1, queued: bool = False) -> None:
        self.recorder.starting("local", names, [attempt] * len(names), at, queued=queued)

    def progress(self, name: str, status: JobStatus, at: float, note: str | None = None) -> None:
        self.sink.records.append(Progress([NAMES.index(name)], [1], [status], [at], [note]))

    def end(self, name: str, kind: FailureKind | None = None, *, again: bool = False) -> None:
        self.recorder.ended([result(name, kind).event], again=again)


def test_a_journal_does_not_tell_jobs_that_are_ready_from_those_that_wait_for_others() -> None:
    run = Run()
    run.start("a", queued=True)
    assert run.look().reasons == [("for what they need, or to be started", 3), ("for a slot", 1)]


def counts(snapshot: RunSnapshot) -> dict[JobStatus, int]:
    return {status: count for status, count in snapshot.counts.items() if count}


def test_a_job_of_a_backend_without_a_queue_runs_from_its_submission_on() -> None:
    run = Run()
    assert counts(run.look()) == {SCHEDULED: 4}
    run.start("a", "b", at=2.0)
    snapshot = run.look()
    assert counts(snapshot) == {SCHEDULED: 2, RUNNING: 2}
    assert snapshot.running == [("a", 8.0, ""), ("b", 8.0, "")]
    run.end("a")
    run.end("b", FailureKind.EXIT_CODE)
    snapshot = run.look()
    assert counts(snapshot) == {SCHEDULED: 2, PASSED: 1, FAILED: 1}
    assert snapshot.running == []
    assert [each.id for each in snapshot.recent] == ["b"]
    assert snapshot.counted == {"passed": 1, "failed": 1}
    assert [each.id for each in run.recorded.progress.take_failures()] == ["b"]


def test_a_job_in_a_queue_waits_until_its_backend_says_that_it_runs() -> None:
    run = Run()
    run.start("a", queued=True)
    assert counts(run.look()) == {SCHEDULED: 3, QUEUED: 1}
    run.progress("a", QUEUED, 3.0, "Priority")
    assert run.look().waiting == [("a", 7.0, "Priority")]
    run.progress("a", RUNNING, 6.0, "node7")
    snapshot = run.look()
    assert (snapshot.waiting, snapshot.running) == ([], [("a", 4.0, "node7")])
    assert counts(snapshot) == {SCHEDULED: 3, RUNNING: 1}


def test_a_local_job_that_waits_for_a_line_of_its_log_waits() -> None:
    run = Run()
    run.start("a")
    run.progress("a", QUEUED, 3.0, "waits for a line")
    snapshot = run.look()
    assert (snapshot.waiting, snapshot.running) == ([("a", 7.0, "waits for a line")], [])
    assert counts(snapshot) == {SCHEDULED: 3, QUEUED: 1}


def test_a_job_that_is_tried_again_waits_and_is_no_failure() -> None:
    run = Run()
    run.start("a")
    run.end("a", FailureKind.EXIT_CODE, again=True)
    assert counts(run.look()) == {SCHEDULED: 3, QUEUED: 1}
    assert run.recorded.progress.take_failures() == []
    assert len(run.recorded.progress.take_retries()) == 1
    run.start("a", attempt=2)
    assert counts(run.look()) == {SCHEDULED: 3, RUNNING: 1}


def test_a_job_that_is_replaced_counts_once() -> None:
    run = Run()
    run.start("a", "b")
    run.end("b")
    run.recorder.add([JobSpec(name="a", cmd="false"), JobSpec(name="b", cmd="false"), JobSpec(name="e", cmd="true")])
    snapshot = run.look()
    assert counts(snapshot) == {SCHEDULED: 5}
    assert snapshot.counted == {}


def test_who_stops_or_pauses_it_is_said() -> None:
    run = Run()
    run.recorder.stopping(1.0, "SIGTERM")
    assert run.look().stopping == "being stopped by SIGTERM"
    assert run.recorded.snapshot(EPOCH, note="sure?").stopping == "sure?"
    assert run.look().title == "fifo (one)"
    assert run.recorded.snapshot(run.recorded.state.segments[0].begin.at + 12).elapsed == 12.0


def test_records_of_jobs_that_there_are_not_change_nothing() -> None:
    run = Run()
    run.sink.records += [
        Starting(1.0, "local", [7, -1], [1, 1]),
        Progress([9], [1], [RUNNING], [1.0]),
        Ended([8], [1], [PASSED], [1.0], [2.0]),
    ]
    assert counts(run.look()) == {SCHEDULED: 4}


def test_an_end_of_an_attempt_before_the_one_that_has_begun_is_no_result() -> None:
    run = Run()
    run.start("a", attempt=7)
    run.end("a")
    assert counts(run.look()) == {SCHEDULED: 3, QUEUED: 1}


def test_of_a_journal_without_a_beginning_everything_that_is_there_is_shown() -> None:
    recorded = RecordedProgress("/runs/one")
    recorded.apply(Jobs(["a", "b"], ["", ""]))
    recorded.apply(Starting(1.0, "local", [0], [1]))
    snapshot = recorded.snapshot(5.0)
    assert counts(snapshot) == {SCHEDULED: 1, RUNNING: 1}
    assert snapshot.title == Path("/runs/one").name
