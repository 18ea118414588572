"""What happens in a run becomes records, and replay tells the same again."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runtime.job import JobCompletionEvent, JobProgressEvent, JobSpec, JobStatus, JobStatusInfo
from runtime.journal import Begin, Jobs, Origin, Recorder, RunState, replay
from tests.journal.sink import Sink


def spec(name: str, cmd: str = "true") -> JobSpec:
    return JobSpec(name=name, cmd=cmd)


def passed(name: str, attempt: int = 1) -> JobCompletionEvent:
    return JobCompletionEvent(name, attempt, JobStatus.PASSED, None, 1.0, 2.0, 3.0)


def a_segment(journal: Sink, state: RunState | None, jobs: Sequence[JobSpec]) -> Recorder:
    recorder = Recorder(journal, "/run", state=state, details={"seed_base": 7})
    recorder.begin("token", 1000.0)
    recorder.add(jobs)
    return recorder


def test_replay_tells_what_was_recorded() -> None:
    journal = Sink()
    recorder = a_segment(journal, None, [spec("a"), spec("b"), spec("c")])
    recorder.starting("local", ["a", "b"], [1, 1], 1.0)
    recorder.progress((JobProgressEvent("b", 1, JobStatus.RUNNING, 2.0, "here"), passed("a")))
    recorder.ended([passed("a")])
    state = replay(journal.records)
    assert dict(zip(state.ids, state.statuses, strict=True)) == {
        "a": JobStatus.PASSED,
        "b": JobStatus.RUNNING,
        "c": JobStatus.SCHEDULED,
    }
    assert [result.job_id for result in state.results()] == ["a"]
    assert [(job.id, job.attempt, job.backend) for job in state.in_flight()] == [("b", 1, "local")]
    assert not state.is_complete
    recorder.end(9.0)
    assert replay(journal.records).is_complete


def test_nothing_is_recorded_of_nothing() -> None:
    journal = Sink()
    recorder = a_segment(journal, None, [])
    recorder.progress((passed("a"),))
    recorder.ended([])
    recorder.keep([])
    assert [type(record) for record in journal.records] == [Begin]


def test_results_of_another_run_are_in_the_journal_with_their_origin_and_their_earlier_attempts() -> None:
    journal = Sink()
    recorder = a_segment(journal, None, [spec("test"), spec("build"), spec("own")])
    recorder.origins = {"build": Origin("monday", "abc"), "test": Origin("tuesday")}
    failed = attrs.evolve(passed("test"), status=JobStatus.FAILED, reason=JobStatusInfo("no"))
    flaky = attrs.evolve(passed("test", 2), earlier=(failed,))
    recorder.keep([flaky, passed("build", 3)])
    state = replay(journal.records)
    assert state.origins_by_id() == {"test": "tuesday", "build": "monday"}
    assert [state.revision(number) for number in range(3)] == [None, "abc", None]
    assert [state.result(number) for number in range(3)] == [flaky, passed("build", 3), None]
    assert [segment.kept for segment in state.segments] == [2]
    # It does not matter that the test, which needs the build, comes first.
    assert not state.began_before_end_of(0, 1)
    for count in range(len(journal.records)):  # killed in between, it has all of them or none
        cut = replay(journal.records[:count])
        assert [event.job_id for event in cut.results()] == []


def test_the_next_segment_records_new_and_changed_jobs_alone() -> None:
    journal = Sink()
    recorder = a_segment(journal, None, [spec("same"), spec("changed")])
    recorder.starting("local", ["same"], [1], 1.0)
    recorder.ended([passed("same")])
    before = len(journal.records)
    state = replay(journal.records)
    recorder = a_segment(journal, state, [spec("same"), spec("changed", "false"), spec("new")])
    recorder.keep([passed("same")])
    recorder.starting("local", ["changed"], [1], 1.0)
    begin, jobs, *_ = journal.records[before:]
    assert isinstance(begin, Begin)
    assert begin.incarnation == 1
    assert isinstance(jobs, Jobs)
    assert jobs.ids == ["changed", "new"]
    now = replay(journal.records)
    assert [segment.kept for segment in now.segments] == [0, 1]
    assert {job_id: now.statuses[number] for job_id, number in now.numbers.items()} == {
        "same": JobStatus.PASSED,
        "changed": JobStatus.QUEUED,
        "new": JobStatus.SCHEDULED,
    }
    assert now.ignored == 0
