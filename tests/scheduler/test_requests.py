"""What somebody asks of a run while it runs: to pause launching, to go on, to change a limit; and the journal of it."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.backend.fake import FakeBackend, FakeRun
from runtime.errors import GraphError, ResourceError
from runtime.job import FailureKind, JobSpec, JobStatus, JobStatusInfo, Retry
from runtime.journal import Recorder, Requested, replay
from runtime.scheduler.facts import LimitRequested, PauseRequested
from runtime.scheduler.run import Scheduler
from tests.journal.sink import Sink
from tests.scheduler.planning import Driven, job

LICENCE = {"licence": 1}


def pause(run: Driven) -> None:
    run.apply(PauseRequested("ann"))


def resume(run: Driven) -> None:
    run.apply(PauseRequested("bob", paused=False))


# ---------------------------------------------------------------------- pausing


def test_while_launching_is_paused_nothing_starts_and_what_runs_goes_on() -> None:
    run = Driven([job("a"), job("b"), job("c", "a")], {"fake": 1})
    assert run.dispatch() == ["a"]
    pause(run)
    run.end("a")
    assert run.dispatch() == []
    assert run.plan.paused_by == "ann"
    resume(run)
    assert sorted(run.dispatch()) in (["b"], ["c"])
    assert run.plan.paused_by is None


def test_a_kill_and_a_stop_have_their_effect_while_launching_is_paused() -> None:
    run = Driven([job("a"), job("b"), job("c")], {"fake": 1})
    run.dispatch()
    pause(run)
    run.kill(["a", "b"], "eve")
    run.dispatch()
    assert [(kill.ids, kill.by) for kill in run.killed] == [(["a"], "eve")]
    assert run.result("b").status is JobStatus.KILLED
    run.stop("eve")
    assert run.result("c").status is JobStatus.KILLED


def test_a_retry_that_is_due_waits_until_launching_goes_on() -> None:
    run = Driven([job("a", retry=Retry(1, delay=1))])
    run.dispatch()
    pause(run)
    run.fail("a")
    assert run.plan.wake_at(run.now) < 10
    run.now = 10.0
    assert run.dispatch() == []
    assert run.plan.wake_at(run.now) == math.inf  # the loop sleeps
    resume(run)
    assert run.dispatch() == ["a"]


def test_a_pause_is_no_refusal() -> None:
    run = Driven([job("a")], busy_timeout=30)
    run.dispatch(refuse=["a"])
    pause(run)
    run.now = 60.0
    resume(run)
    run.dispatch(refuse=["a"])
    run.now = 61.0
    assert run.dispatch() == ["a"]


def test_jobs_that_are_added_to_a_paused_run_wait() -> None:
    run = Driven([])
    pause(run)
    run.add([job("a")])
    assert run.dispatch() == []
    resume(run)
    assert run.dispatch() == ["a"]


# ---------------------------------------------------------------------- limits


def limit(run: Driven, most: int | None) -> None:
    run.apply(LimitRequested("licence", most, "ann"))


def test_a_limit_that_is_set_counts_at_once_and_takes_nothing_away() -> None:
    run = Driven([job(f"j{i}", resources=LICENCE) for i in range(6)], resources={"licence": 3})
    assert len(run.dispatch()) == 3
    limit(run, 1)
    run.end("j0")
    run.end("j1")
    assert run.dispatch() == []
    run.end("j2")
    assert run.dispatch() == ["j3"]
    limit(run, None)
    assert run.dispatch() == ["j4", "j5"]
    assert run.plan.statistics().resources == {"licence": (3, None)}


def test_a_limit_that_is_set_counts_whatever_a_provider_tells() -> None:
    run = Driven([job("a", resources=LICENCE)], resources={"licence": 3})
    limit(run, 0)
    run.limit("licence", 7)
    assert run.dispatch() == []
    limit(run, 1)
    assert run.dispatch() == ["a"]


def test_a_job_that_needs_more_than_a_limit_that_was_set_waits() -> None:
    run = Driven([job("a", resources={"licence": 3})], resources={"licence": 3})
    limit(run, 2)
    assert run.dispatch() == []
    run.add([job("b", resources={"licence": 5})])
    limit(run, 5)
    assert run.dispatch() == ["a"]


@pytest.mark.parametrize("wrong", [-1, True, "4", 1.5])
def test_what_is_no_limit_changes_nothing(wrong: int) -> None:
    run = Driven([job("a", resources=LICENCE)], resources={"licence": 1})
    with pytest.raises(ResourceError, match="licence"):
        limit(run, wrong)
    assert run.dispatch() == ["a"]


def test_an_unknown_resource_is_an_error_that_names_those_that_there_are() -> None:
    run = Driven([job("a")], resources={"gpu": 1, "licence": 1})
    with pytest.raises(ResourceError, match="the limit of resource 'vcs' is to be set; expected one of: gpu, licence"):
        run.apply(LimitRequested("vcs", 1, "ann"))


# ---------------------------------------------------------------------- the scheduler, and its journal


def scheduler_of(sink: Sink, *names: str) -> Scheduler[JobSpec]:
    jobs = [job(name, resources=LICENCE) for name in names]
    backend = FakeBackend(lambda _spec, _attempt: FakeRun(duration=10))
    return Scheduler(jobs, backend, resources={"licence": 1}, journal=Recorder(sink, "/run"))


async def test_each_request_is_in_the_journal_before_what_follows_of_it(autojump_clock: MockClock) -> None:
    sink = Sink()
    scheduler = scheduler_of(sink, "a", "b", "c", "d")
    scheduler.pause_launching(by="ann")  # before the run: it is recorded when there is a journal
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await wait_all_tasks_blocked()
        assert scheduler.statistics().in_flight == 0
        assert scheduler.paused_by == "ann"
        await trio.sleep(5)
        scheduler.set_limit("licence", 2, by="bob")
        scheduler.resume_launching(by="bob")
        await wait_all_tasks_blocked()
        assert scheduler.statistics().in_flight == 2
        scheduler.kill(["d", "d"], by="eve", force=True)
        scheduler.stop(by="eve", drain=True)
    state = replay(sink.records)
    (segment,) = state.segments
    assert segment.requests == [
        Requested(at=0.0, by="ann", action="pause"),
        Requested(at=5.0, by="bob", action="limit", resource="licence", limit=2),
        Requested(at=5.0, by="bob", action="resume"),
        Requested(at=5.0, by="eve", action="kill", jobs=[3], force=True),
        Requested(at=5.0, by="eve", action="drain"),
    ]
    assert (segment.stopped_by, state.ignored) == ("eve", 0)
    assert {result.id: result.status.name for result in scheduler.results()} == {
        "a": "PASSED",
        "b": "PASSED",
        "c": "KILLED",
        "d": "KILLED",
    }
    told = [getattr(record, "action", type(record).__name__) for record in sink.records]
    assert told.index("resume") < told.index("Starting")
    assert told.index("kill") < told.index("drain") < told.index("Ended") < told.index("Stopping")


async def test_what_is_refused_is_not_recorded(autojump_clock: MockClock) -> None:
    sink = Sink()
    scheduler = scheduler_of(sink, "a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await wait_all_tasks_blocked()
        with pytest.raises(GraphError):
            scheduler.kill(["a", "nobody"])
        with pytest.raises(ResourceError):
            scheduler.set_limit("nothing", 1)
    scheduler.pause_launching()  # it has ended: nothing happens, and nothing is recorded
    assert sink.of(Requested) == []
    assert [result.status for result in scheduler.results()] == [JobStatus.PASSED]


@pytest.mark.parametrize("call", ["pause_launching", "resume_launching", "set_limit"])
async def test_a_request_from_another_thread_is_an_error_that_changes_nothing(
    autojump_clock: MockClock, call: str
) -> None:
    scheduler = scheduler_of(Sink(), "a")
    arguments = ("licence", 0) if call == "set_limit" else ()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await wait_all_tasks_blocked()
        with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match=rf"Scheduler\.{call}\(\) was called"):
            pool.submit(getattr(scheduler, call), *arguments).result()
    assert (scheduler.paused_by, scheduler.statistics().resources) == (None, {"licence": (0, 1)})


async def test_a_paused_run_without_work_in_flight_does_not_spin(autojump_clock: MockClock) -> None:
    reason = JobStatusInfo("no", kind=FailureKind.EXIT_CODE)
    backend = FakeBackend(lambda _spec, _attempt: FakeRun(JobStatus.FAILED, reason=reason, duration=1))
    scheduler = Scheduler([job("a", retry=Retry(1, delay=1))], backend)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await trio.sleep(0.5)
        scheduler.pause_launching()
        await trio.sleep(3600)
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf
        scheduler.resume_launching()
    assert [result.attempt for result in scheduler.results()] == [2]
