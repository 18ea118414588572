"""A scheduler with a journal: what it records, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pytest
import trio
from trio.testing import MockClock

from runtime import FakeBackend, FakeRun, GraphError, JobSpec, JobStatus, Retry, Scheduler
from runtime.job import FailureKind, JobCompletionEvent, JobHandle, JobStatusInfo
from runtime.job.protocol import Specification
from runtime.job.retry import Flaky
from runtime.journal import Begin, End, Ended, Jobs, Kept, Recorder, Starting, replay
from tests.journal.sink import Sink


class Noting(FakeBackend):
    """A fake backend that notes what was on the journal's disk at each submission."""

    def __init__(self, sink: Sink, *, outlives: bool = False, fails: str = "") -> None:
        super().__init__(
            lambda spec, _attempt: FakeRun(status=JobStatus.FAILED if spec.id == fails else JobStatus.PASSED)
        )
        self.sink = sink
        self.submitted: list[str] = []
        type(self).jobs_outlive_runtime = outlives

    async def submit_many(
        self, jobs: Iterable[Specification], *, attempts: Mapping[str, int] | None = None
    ) -> dict[str, JobHandle]:
        jobs = list(jobs)
        intended = {number for record in self.sink.of(Starting) for number in record.jobs}
        ids = replay(self.sink.records).ids
        assert {job.id for job in jobs} <= {ids[number] for number in intended}
        self.submitted += [job.id for job in jobs]
        return await super().submit_many(jobs, attempts=attempts)


GRAPH = [
    JobSpec(name="build", cmd="x"),
    JobSpec(name="one", cmd="x", dependencies=("build",)),
    JobSpec(name="two", cmd="x", dependencies=("one",)),
]


@pytest.mark.parametrize(("outlives", "wait"), [(False, "written"), (True, "durable")])
async def test_an_intent_is_recorded_before_the_job_is_submitted(outlives: bool, wait: str) -> None:
    sink = Sink()
    backend = Noting(sink, outlives=outlives)
    scheduler = Scheduler(GRAPH, backend, journal=Recorder(sink, "/run"), run_token="the token")
    await scheduler.run()
    assert backend.submitted == ["build", "one", "two"]
    assert sink.waits == [wait] * 3
    first, second, *_, last = sink.records
    assert isinstance(first, Begin)
    assert (first.token, first.epoch) == ("the token", scheduler.epoch)
    assert isinstance(second, Jobs)
    assert isinstance(last, End)
    state = replay(sink.records)
    assert state.is_complete
    assert {event.job_id: event.status for event in state.results()} == {
        result.id: result.status for result in scheduler.results()
    }
    # Each job began after the one that it needs had ended: so a resume keeps all of them.
    assert not any(state.began_before_end_of(number, number - 1) for number in (1, 2))


async def test_jobs_that_end_without_a_backend_are_recorded_and_those_that_are_added() -> None:
    sink = Sink()
    scheduler = Scheduler(GRAPH, Noting(sink, fails="build"), journal=Recorder(sink, "/run"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await trio.lowlevel.checkpoint()
        scheduler.add([JobSpec(name="later", cmd="x")])
    state = replay(sink.records)
    assert {job_id: state.statuses[number] for job_id, number in state.numbers.items()} == {
        "build": JobStatus.FAILED,
        "one": JobStatus.KILLED,
        "two": JobStatus.KILLED,
        "later": JobStatus.PASSED,
    }
    assert state.ignored == 0


async def test_a_slow_journal_holds_back_launches_and_a_kill_meanwhile_withdraws_them() -> None:
    sink = Sink()
    backend = Noting(sink)
    scheduler = Scheduler(
        [JobSpec(name="a", cmd="x"), JobSpec(name="b", cmd="x")], backend, journal=Recorder(sink, "/run")
    )
    sink.disk = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await trio.testing.wait_all_tasks_blocked()
        assert sink.waits == ["written"]
        scheduler.kill(["a"])
        await trio.testing.wait_all_tasks_blocked()
        assert backend.submitted == []
        sink.disk.set()
    assert backend.submitted == ["b"]
    assert {result.id: result.status for result in scheduler.results()} == {
        "a": JobStatus.KILLED,
        "b": JobStatus.PASSED,
    }
    assert len(sink.of(Ended)) >= 1


async def test_a_job_that_is_tried_again_has_each_attempt_in_the_journal(autojump_clock: MockClock) -> None:
    sink = Sink()
    jobs = [
        JobSpec(name="a", cmd="x", retry=Retry(3)),
        JobSpec(name="b", cmd="x", retry=Retry(1, flaky="fail")),
        JobSpec(name="c", cmd="x", dependencies=("a",), retry=Retry(1, delay=1e6)),
    ]

    def policy(spec: JobSpec, attempt: int) -> FakeRun:
        ends = {"a": 3, "b": 2}.get(spec.id, math.inf)
        if attempt >= ends:
            return FakeRun(duration=2)
        return FakeRun(status=JobStatus.FAILED, reason=JobStatusInfo("no", kind=FailureKind.EXIT_CODE), duration=1)

    scheduler = Scheduler(jobs, FakeBackend(policy), journal=Recorder(sink, "/run"))
    with trio.move_on_after(1000):
        await scheduler.run()
    results = scheduler.results()
    state = replay(sink.records)
    assert state.ignored == 0
    for number, result in enumerate(results):
        there = state.result(number)
        assert there is not None
        assert (there.status, there.attempt, there.is_flaky) == (result.status, result.attempt, result.is_flaky)
        assert [(each.attempt, each.reason) for each in there.earlier] == [
            (each.attempt, each.reason) for each in result.earlier
        ]
    assert [(each.status.name, each.attempt, len(each.earlier), each.is_flaky) for each in results] == [
        ("PASSED", 3, 2, True),
        ("FAILED", 2, 1, True),
        ("FAILED", 1, 0, False),  # the run was over before its next attempt was due
    ]


async def test_a_job_that_waits_for_its_next_attempt_is_queued_in_the_journal(autojump_clock: MockClock) -> None:
    sink = Sink()

    def policy(_: JobSpec, attempt: int) -> FakeRun:
        return FakeRun(status=JobStatus.FAILED if attempt == 1 else JobStatus.PASSED)

    scheduler = Scheduler(
        [JobSpec(name="a", cmd="x", retry=Retry(1, delay=100))], FakeBackend(policy), journal=Recorder(sink, "/run")
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await trio.sleep(50)
        state = replay(sink.records)
        assert (state.statuses[0], state.is_waiting(0), [*state.in_flight()]) == (JobStatus.QUEUED, True, [])
        assert [event.attempt for event in state.earlier(0)] == [1]
    assert [record.again for record in sink.of(Ended)] == [True, None]


async def test_an_attempt_stands_in_the_journal_before_the_end_of_its_job(autojump_clock: MockClock) -> None:
    sink = Sink()
    jobs = [JobSpec(name="a", cmd="x", retry=Retry(1, delay=100)), JobSpec(name="b", cmd="x")]
    backend = FakeBackend(lambda *_: FakeRun(status=JobStatus.FAILED, duration=1))
    scheduler = Scheduler(jobs, backend, journal=Recorder(sink, "/run"), max_failures=1)
    await scheduler.run()
    # Both attempts ended in one batch: so the first job was to be tried again, and then the run was stopped.
    assert [(record.jobs, record.again) for record in sink.of(Ended)] == [([0], True), ([1, 0], None)]
    assert replay(sink.records).counts() == {JobStatus.FAILED: 2}


def failed(job_id: str, attempt: int, status: JobStatus = JobStatus.FAILED) -> JobCompletionEvent:
    reason = None if status is JobStatus.PASSED else JobStatusInfo("no", kind=FailureKind.EXIT_CODE)
    return JobCompletionEvent(job_id, attempt, status, reason, -9.0, -8.0, -7.0)


@pytest.mark.parametrize(
    ("passes_at", "flaky", "expected"),
    [
        (3, "pass", ("PASSED", 3, [1, 2], True)),
        (4, "pass", ("PASSED", 4, [1, 2, 3], True)),
        (3, "fail", ("FAILED", 3, [1, 2], True)),
        (9, "pass", ("FAILED", 4, [1, 2, 3], False)),
    ],
)
async def test_attempts_of_an_earlier_process_count(
    passes_at: int, flaky: Flaky, expected: tuple[object, ...], autojump_clock: MockClock
) -> None:
    def policy(_: JobSpec, attempt: int) -> FakeRun:
        reason = JobStatusInfo("no", kind=FailureKind.EXIT_CODE)
        return FakeRun() if attempt >= passes_at else FakeRun(status=JobStatus.FAILED, reason=reason)

    scheduler = Scheduler(
        [JobSpec(name="a", cmd="x", retry=Retry(3, flaky=flaky))], FakeBackend(policy), first_attempts={"a": 3}
    )
    scheduler.keep([], earlier=[failed("a", 1), failed("a", 2)])
    (result,) = await scheduler.run()
    attempts = [event.attempt for event in result.earlier]
    assert (result.status.name, result.attempt, attempts, result.is_flaky) == expected


async def test_a_continued_job_that_never_begins_was_killed_and_did_not_fail() -> None:
    scheduler = Scheduler([JobSpec(name="a", cmd="x", retry=1)], FakeBackend(), first_attempts={"a": 2})
    scheduler.keep([], earlier=[failed("a", 1)])
    scheduler.stop(by="SIGINT")
    (result,) = await scheduler.run()
    assert (result.status, result.attempt, result.never_ran) == (JobStatus.KILLED, 0, True)


@pytest.mark.parametrize(
    ("event", "error", "message"),
    [
        (failed("nobody", 1), GraphError, "no job 'nobody'"),
        (failed("one", 1, JobStatus.PASSED), ValueError, "attempt 1 at job 'one' passed; expected one that did not"),
        (failed("one", 2), ValueError, "attempt 2 at job 'one' is given; expected one before the first of this run"),
        (failed("two", 1), ValueError, "expected one before the first of this run, which is 1"),
    ],
)
async def test_an_attempt_that_cannot_count_is_refused_and_nothing_is_kept(
    event: JobCompletionEvent, error: type[Exception], message: str
) -> None:
    backend = Noting(sink := Sink())
    scheduler = Scheduler(GRAPH, backend, journal=Recorder(sink, "/run"), first_attempts={"one": 2})
    with pytest.raises(error, match=message):
        scheduler.keep([kept("build")], earlier=[failed("one", 1), event])
    results = await scheduler.run()
    assert backend.submitted == ["build", "one", "two"]
    assert [result.earlier for result in results] == [(), (), ()]


async def test_a_run_that_continues_another_one_continues_the_numbers_of_its_attempts() -> None:
    sink = Sink()
    seen: dict[str, int] = {}

    def policy(spec: JobSpec, attempt: int) -> FakeRun:
        seen[spec.id] = attempt
        return FakeRun()

    first = {"one": 3, "two": 2, "of another run": 7}
    scheduler = Scheduler(GRAPH, FakeBackend(policy), journal=Recorder(sink, "/run"), first_attempts=first)
    results = await scheduler.run()
    assert seen == {result.id: result.attempt for result in results} == {"build": 1, "one": 3, "two": 2}
    assert [(record.jobs, record.attempts) for record in sink.of(Starting)] == [([0], [1]), ([1], [3]), ([2], [2])]
    assert replay(sink.records).attempts == [1, 3, 2]


def kept(job_id: str, status: JobStatus = JobStatus.PASSED) -> JobCompletionEvent:
    return JobCompletionEvent(job_id, 2, status, None, -9.0, -8.0, -7.0)


async def test_what_an_earlier_process_has_run_is_a_result_and_not_run_again() -> None:
    sink = Sink()
    backend = Noting(sink)
    scheduler = Scheduler(GRAPH, backend, journal=Recorder(sink, "/run"))
    scheduler.keep([kept("build")])
    scheduler.keep([kept("one")])
    results = await scheduler.run()
    assert backend.submitted == ["two"]
    assert [(result.id, result.attempt, result.status) for result in results] == [
        ("build", 2, JobStatus.PASSED),
        ("one", 2, JobStatus.PASSED),
        ("two", 1, JobStatus.PASSED),
    ]
    assert results[0].event == kept("build")
    assert [record.jobs for record in sink.of(Kept)] == [[0, 1]]
    assert [record.jobs for record in sink.of(Ended)] == [[2]]


async def test_a_job_waits_for_those_that_are_not_kept() -> None:
    backend = FakeBackend()
    jobs = [
        JobSpec(name="a", cmd="x"),
        JobSpec(name="b", cmd="x"),
        JobSpec(name="c", cmd="x", dependencies=("a", "b")),
    ]
    scheduler = Scheduler(jobs, backend)
    scheduler.keep([kept("a")])
    results = {result.id: result for result in await scheduler.run()}
    assert {result.status for result in results.values()} == {JobStatus.PASSED}
    assert results["b"].ended <= (results["c"].submitted or 0)


async def test_a_run_of_which_everything_is_kept_ends_at_once() -> None:
    backend = Noting(sink := Sink())
    scheduler = Scheduler(GRAPH, backend, journal=Recorder(sink, "/run"))
    scheduler.keep(map(kept, ["two", "one", "build"]))
    assert [result.id for result in await scheduler.run()] == ["build", "one", "two"]
    assert backend.submitted == []
    assert replay(sink.records).is_complete


@pytest.mark.parametrize(
    ("events", "error", "message"),
    [
        ([kept("build"), kept("nobody")], GraphError, "no job 'nobody'"),
        ([kept("build"), kept("build")], ValueError, "given twice"),
        ([kept("build"), kept("one", JobStatus.FAILED)], ValueError, "'one' is FAILED; expected PASSED"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_nothing_is_kept(
    events: list[JobCompletionEvent], error: type[Exception], message: str
) -> None:
    backend = Noting(sink := Sink())
    scheduler = Scheduler(GRAPH, backend, journal=Recorder(sink, "/run"))
    with pytest.raises(error, match=message):
        scheduler.keep(events)
    await scheduler.run()
    assert backend.submitted == ["build", "one", "two"]
    with pytest.raises(RuntimeError, match="has begun"):
        scheduler.keep([])


@pytest.mark.parametrize("given", [["a"], {"a": 0}, {"a": True}, {"a": 1.0}])
def test_the_numbers_of_first_attempts_are_whole_and_from_1(given: object) -> None:
    with pytest.raises(
        ValueError, match=r"first_attempts .*; expected a mapping from ids of jobs to whole numbers from 1"
    ):
        Scheduler(GRAPH, FakeBackend(), first_attempts=given)  # type: ignore[arg-type]  # what a caller may pass


@pytest.mark.parametrize("token", ["", 7])
def test_a_run_token_is_text(token: object) -> None:
    with pytest.raises(ValueError, match=r"run_token is .*; expected text that is not empty, or None"):
        Scheduler(GRAPH, FakeBackend(), run_token=token)  # type: ignore[arg-type]  # what a caller may pass
