"""The scheduler's shell, in virtual time: backends that are slow, busy, broken; cancelling, stopping, adding,
watching.
"""

from __future__ import annotations

import itertools
import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.contract.live import LiveJob
from runtime.backend.fake import FakeBackend, FakeDriver, FakeRun
from runtime.errors import BackendBrokenError, GraphError, ResourceError
from runtime.job import JobHandle, JobResult, JobSpec, JobStatus
from runtime.scheduler.run import Scheduler, run_jobs
from runtime.scheduler.runner import BackendRunner
from tests.backend.manual import driven_by
from tests.scheduler.planning import job


def takes(seconds: float, **more: Any) -> Callable[[JobSpec, int], FakeRun]:
    return lambda _job, _attempt: FakeRun(duration=seconds, **more)


def table(**runs: FakeRun) -> Callable[[JobSpec, int], FakeRun]:
    return lambda spec, _attempt: runs.get(spec.name, FakeRun())


def statuses(results: Sequence[JobResult[object]]) -> dict[str, str]:
    return {result.id: result.status.name for result in results}


def kinds(results: Sequence[JobResult[object]]) -> dict[str, str | None]:
    return {result.id: None if result.reason is None else str(result.reason.kind) for result in results}


async def test_results_come_in_the_order_given_with_their_times(autojump_clock: MockClock) -> None:
    jobs = [job("sim", "build"), job("build"), job("cov", "sim")]
    results = await run_jobs(jobs, FakeBackend(takes(10)))
    assert [result.id for result in results] == ["sim", "build", "cov"]
    assert [result.job for result in results] == jobs
    assert [(result.submitted, result.started, result.ended) for result in results] == [
        (10, 10, 20),
        (0, 0, 10),
        (20, 20, 30),
    ]
    assert [result.attempt for result in results] == [1, 1, 1]


async def test_no_jobs_is_a_run_too(autojump_clock: MockClock) -> None:
    assert await run_jobs([], FakeBackend()) == []


async def test_what_never_ran_has_no_times(autojump_clock: MockClock) -> None:
    _, after = await run_jobs([job("bad"), job("after", "bad")], FakeBackend(table(bad=FakeRun(JobStatus.FAILED))))
    assert (after.status, after.submitted, after.started, after.attempt) == (JobStatus.KILLED, None, None, 0)


async def test_width_is_kept_and_used(autojump_clock: MockClock) -> None:
    results = await run_jobs([job(f"j{i}") for i in range(10)], FakeBackend(takes(10), max_parallelism=4))
    assert trio.current_time() == 30
    assert [result.started for result in results].count(0) == 4
    await run_jobs([job(f"j{i}") for i in range(10)], FakeBackend(takes(10)), max_parallelism=5)
    assert trio.current_time() == 50


async def test_it_runs_once(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job("a")], FakeBackend())
    await scheduler.run()
    with pytest.raises(RuntimeError, match="was run before"):
        await scheduler.run()
    with pytest.raises(RuntimeError, match="takes no more jobs"):
        scheduler.add([job("b")])


async def test_several_schedulers_in_one_process(autojump_clock: MockClock) -> None:
    ends = {}

    async def one(name: str, seconds: float) -> None:
        ends[name] = statuses(await run_jobs([job(name)], FakeBackend(takes(seconds))))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "a", 5)
        nursery.start_soon(one, "b", 3)
    assert ends == {"a": {"a": "PASSED"}, "b": {"b": "PASSED"}}
    assert trio.current_time() == 5


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"backends": {}}, ValueError, "at least one backend"),
        ({"backends": FakeBackend}, ValueError, "backends is <class .*; expected a backend, such as"),
        ({"backends": {"fake": FakeBackend}}, ValueError, "backends is .*; expected a backend, such as"),
        ({"backends": "local"}, ValueError, "backends is 'local'; expected a backend, such as"),
        ({"resources": {"x": "3"}}, ResourceError, "the limit of resource 'x' is '3'; expected .* a ResourceProvider"),
        ({"priority": 3}, ValueError, "priority is 3; expected a function"),
        ({"busy_timeout": "x"}, ValueError, "busy_timeout is 'x'; expected seconds"),
        ({"busy_timeout": math.nan}, ValueError, "busy_timeout is nan; expected seconds"),
        ({"default_backend": "x"}, ValueError, "default_backend is 'x'; expected a backend of this run: fake"),
        ({"max_parallelism": -1}, ValueError, "max_parallelism is -1"),
        ({"max_failures": True}, ValueError, "max_failures is True"),
        ({"resources": {"a": -1}}, ResourceError, "limit of resource 'a' is -1"),
        ({"on_missing_resource": "maybe"}, ResourceError, "on_missing_resource is 'maybe'"),
        ({"jobs": [job("a", backend="x")]}, GraphError, "has backend 'x'; expected a backend of this run: fake"),
    ],
)
async def test_wrong_arguments_are_errors_before_anything_runs(
    autojump_clock: MockClock, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Scheduler(**{"jobs": [], "backends": FakeBackend(), **arguments})


async def test_names_of_a_foreign_specification_are_all_that_it_needs(autojump_clock: MockClock) -> None:
    class Foreign:
        def __init__(self, name: str, dependencies: list[str]) -> None:
            self.id = name
            self.dependencies = dependencies
            self.backend = None
            self.resources = None
            self.weight = 1
            self.needs_all_dependencies_passing = True

    results = await run_jobs([Foreign("a", []), Foreign("b", ["a"])], FakeBackend())
    assert statuses(results) == {"a": "PASSED", "b": "PASSED"}


async def test_a_backend_is_opened_only_for_a_job(autojump_clock: MockClock) -> None:
    idle, used = FakeBackend(), FakeBackend()
    await run_jobs([job("a", backend="used")], {"idle": idle, "used": used})
    assert "new" in repr(idle)
    assert "closed" in repr(used)


async def test_a_job_time_out_is_a_result(autojump_clock: MockClock) -> None:
    (result,) = await run_jobs([job("a", timeout=7)], FakeBackend(takes(math.inf)))
    assert (result.status, result.ended) == (JobStatus.KILLED, 7)
    assert kinds([result]) == {"a": "timeout"}


# ---------------------------------------------------------------------- prior art


async def test_a_busy_backend_is_not_asked_in_a_spin(autojump_clock: MockClock) -> None:
    """Jobs ready, none running, backend busy: seen elsewhere as 86,000 attempts in 2.5 s and an ignored Ctrl-C."""
    attempts = []

    def busy(spec: JobSpec, _attempt: int) -> FakeRun:
        attempts.append((spec.id, trio.current_time()))
        return FakeRun(busy=True)

    scheduler = Scheduler([job(f"j{i}") for i in range(100)], FakeBackend(busy), busy_timeout=1e9)
    with trio.move_on_after(3600) as scope:
        await scheduler.run()
    assert scope.cancelled_caught
    assert len(attempts) - 100 < 3600 / 10 + 20
    assert set(statuses(scheduler.results()).values()) == {"KILLED"}


async def test_a_backend_busy_for_ever_ends_its_jobs_as_busy(autojump_clock: MockClock) -> None:
    results = await run_jobs([job("a")], FakeBackend(takes(1, busy=True)), busy_timeout=100)
    assert kinds(results) == {"a": "busy"}
    assert 100 <= trio.current_time() <= 110


class BreaksAfter(FakeDriver):
    """Breaks some time after its block began."""

    async def serve(self) -> None:
        await trio.sleep(5)
        raise ZeroDivisionError


class DoesNotOpen(FakeDriver):
    async def setup(self) -> None:
        await trio.sleep(1)
        msg = "no such cluster"
        raise OSError(msg)


@pytest.mark.parametrize(("breaking", "at"), [(BreaksAfter, 5), (DoesNotOpen, 1)])
async def test_a_backend_that_breaks_takes_no_other_with_it(
    autojump_clock: MockClock, breaking: type[FakeDriver], at: float, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [
        job("a", backend="breaks"),
        job("after", "a", backend="breaks"),
        job("b"),
        job("c", "b"),
        job("mixed", "a", "b"),
    ]
    with caplog.at_level(logging.ERROR):
        results = await run_jobs(
            jobs,
            {
                "fine": FakeBackend(takes(10)),
                "breaks": driven_by(breaking, FakeBackend, takes(math.inf), name="breaks"),
            },
        )
    assert statuses(results) == {"a": "KILLED", "after": "KILLED", "b": "PASSED", "c": "PASSED", "mixed": "KILLED"}
    assert kinds(results)["a"] == "backend_error"
    assert results[0].ended == at
    assert "backend 'breaks' broke" in caplog.text


async def test_a_runner_that_is_out_of_memory_ends_its_jobs_and_logs_one_line(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(BackendRunner, "_answer", fails)
    with caplog.at_level(logging.ERROR):
        (result,) = await run_jobs([job("a")], FakeBackend(takes(10)))
    assert result.status is JobStatus.KILLED
    (record,) = caplog.records
    assert record.getMessage() == (
        "backend 'fake' broke: there is not enough memory for the runtime itself; the jobs of backend 'fake' are ended,"
        " other backends go on"
    )
    assert record.exc_info is None


class SlowToLaunch(FakeDriver):
    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        await trio.sleep(1000)
        await super().launch(jobs)


async def test_a_slow_submit_holds_up_no_completion_and_no_other_backend(autojump_clock: MockClock) -> None:
    jobs = [job("slow", backend="slow"), job("a"), job("b", "a"), job("c", "b")]
    results = await run_jobs(jobs, {"quick": FakeBackend(takes(1)), "slow": driven_by(SlowToLaunch, FakeBackend)})
    assert [result.ended for result in results] == [1000, 1, 2, 3]


@pytest.mark.parametrize("most", [1, 2, None])
async def test_a_slow_submit_holds_up_no_completion_of_its_own_backend(
    autojump_clock: MockClock, most: int | None
) -> None:
    """Nor does it delay other submissions for longer than a second."""

    class SlowThen(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            await super().launch(jobs)
            if jobs[0].id == "second":
                await trio.sleep(1000)

    backend = driven_by(SlowThen, FakeBackend, takes(1))
    backend.max_submissions = most
    scheduler = Scheduler([job("first"), job("second", "first"), job("third", "second")], backend)
    with scheduler.subscribe() as stream:
        results = await scheduler.run()
        ends = {change.id: change.at for change in stream.take_nowait() if change.new.is_terminal}
    assert ends == {"first": 1, "second": 2, "third": 3}
    assert statuses(results) == dict.fromkeys(["first", "second", "third"], "PASSED")


@pytest.mark.parametrize(("most", "batches"), [(1, [2, 8]), (3, [2, 1, 1, 6]), (None, [2] + 8 * [1])])
async def test_so_many_submissions_are_in_progress_at_once_and_the_rest_gathers(
    autojump_clock: MockClock, most: int | None, batches: list[int]
) -> None:
    seen: list[int] = []

    class Slow(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            seen.append(len(jobs))
            await trio.sleep(0.9)
            await super().launch(jobs)

    jobs = [job("slow", backend="slow"), job("too", backend="slow")]
    for number in range(8):  # one of them is ready after the other
        jobs += [
            job(f"a{number}", *([f"a{number - 1}"] if number else [])),
            job(f"b{number}", f"a{number}", backend="slow"),
        ]
    slow = driven_by(Slow, FakeBackend)
    slow.max_submissions = most
    results = await run_jobs(jobs, {"quick": FakeBackend(takes(0.1)), "slow": slow})
    assert set(statuses(results).values()) == {"PASSED"}
    assert seen == batches


async def test_while_a_submission_takes_long_there_is_another_in_each_second(autojump_clock: MockClock) -> None:
    seen: list[tuple[float, int]] = []

    class Hangs(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            seen.append((trio.current_time(), len(jobs)))
            await super().launch(jobs)
            if len(seen) == 1:
                await trio.sleep(1000)

    jobs = [job("a0", backend="hangs")] + [
        job(f"a{number}", f"a{number - 1}", backend="hangs") for number in range(1, 4)
    ]
    results = await run_jobs(jobs, {"hangs": driven_by(Hangs, FakeBackend, takes(0.25))})
    assert [result.ended for result in results] == [0.25, 1.25, 2.25, 3.25]
    assert seen == [(0, 1), (1, 1), (2, 1), (3, 1)]


async def test_of_several_submissions_each_may_be_refused(autojump_clock: MockClock) -> None:
    """And then is submitted again: nothing is lost, and nothing runs twice."""
    ran: list[str] = []

    class Busy(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            await trio.sleep(10)
            taken = [one for one in jobs if len(ran) < 3 or trio.current_time() > 100]
            ran.extend(one.id for one in taken)
            await super().launch(taken)

    jobs = []
    for number in range(8):
        jobs += [
            job(f"a{number}", *([f"a{number - 1}"] if number else [])),
            job(f"b{number}", f"a{number}", backend="busy"),
        ]
    busy = driven_by(Busy, FakeBackend, takes(1))
    busy.max_submissions = None
    results = await run_jobs(jobs, {"quick": FakeBackend(takes(1)), "busy": busy})
    assert set(statuses(results).values()) == {"PASSED"}
    assert sorted(ran) == [f"b{number}" for number in range(8)]


class RaisesFromSubmit(FakeBackend):
    """Breaks the contract: launches some jobs, then raises."""

    async def submit_many(self, jobs: Any, *, attempts: Any = None) -> dict[str, JobHandle]:
        jobs = list(jobs)
        await super().submit_many(jobs[: len(jobs) // 2], attempts=attempts)
        msg = "submission went wrong"
        raise ValueError(msg)


async def test_a_submit_that_raises_half_way_loses_no_job(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        results = await run_jobs([job(f"j{i}") for i in range(4)], RaisesFromSubmit(takes(math.inf)))
    assert kinds(results) == {"j0": "cancelled", "j1": "cancelled", "j2": "launch_error", "j3": "launch_error"}
    assert "raised from submit_many" in caplog.text


async def test_an_observer_that_raises_or_sleeps_stops_nothing(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job(f"j{i}", *([f"j{i - 1}"] if i else [])) for i in range(20)], FakeBackend(takes(1)))

    async def observer() -> None:
        with scheduler.subscribe(1) as stream:
            async for _change in stream:
                raise ZeroDivisionError

    lazy = scheduler.subscribe(2)
    with pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(observer)
            with trio.CancelScope(shield=True):
                results = await scheduler.run()
    assert set(statuses(results).values()) == {"PASSED"}
    assert lazy.dropped > 0
    assert len(lazy.take_nowait()) == 2


# ---------------------------------------------------------------------- cancelling and stopping


async def test_a_cancelled_run_kills_its_jobs_sees_them_end_and_has_a_result_for_each(
    autojump_clock: MockClock,
) -> None:
    backend = FakeBackend(takes(100, kill_duration=3), max_parallelism=2)
    scheduler = Scheduler([job("a"), job("b"), job("c"), job("d", "a")], backend)
    with trio.move_on_after(10) as scope:
        await scheduler.run()
    assert scope.cancelled_caught
    assert trio.current_time() == 13
    assert set(kinds(scheduler.results()).values()) == {"cancelled"}
    assert [result.ended for result in scheduler.results()][:2] == [13, 13]
    assert backend.undelivered == 0
    assert "ended" in repr(scheduler)


async def test_an_outer_cancel_before_the_first_step_still_gives_results(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job("a")], FakeBackend())
    with trio.CancelScope() as scope:
        scope.cancel()
        await scheduler.run()
    assert statuses(scheduler.results()) == {"a": "KILLED"}


async def run_and(scheduler: Scheduler[JobSpec], at: float, act: Callable[[], object]) -> list[JobResult[JobSpec]]:
    async def later() -> None:
        await trio.sleep(at)
        act()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        return await scheduler.run()
    raise AssertionError


async def test_stop_kills_gently_and_a_second_one_with_force(autojump_clock: MockClock) -> None:
    class Gentle(FakeDriver):
        def force(self, jobs: Sequence[LiveJob]) -> None:
            for live in jobs:
                self.control.finish_stopped(live)

    scheduler = Scheduler([job("a"), job("b", "a")], driven_by(Gentle, FakeBackend, takes(math.inf, kill_duration=20)))
    gentle = await run_and(scheduler, 10, lambda: scheduler.stop(by="SIGINT"))
    assert kinds(gentle) == {"a": "cancelled", "b": "cancelled"}
    assert trio.current_time() == 30

    forced = Scheduler([job("a"), job("b", "a")], driven_by(Gentle, FakeBackend, takes(math.inf, kill_duration=20)))

    async def twice() -> None:
        forced.stop(by="SIGINT")
        await trio.sleep(2)
        forced.stop(by="SIGINT", force=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(forced.run)
        await trio.sleep(10)
        await twice()
    assert kinds(forced.results()) == {"a": "cancelled", "b": "cancelled"}
    assert trio.current_time() == 42


async def test_stop_with_drain_waits_for_what_runs(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job("a"), job("b", "a")], FakeBackend(takes(50)))
    results = await run_and(scheduler, 10, lambda: scheduler.stop(by="me", drain=True))
    assert statuses(results) == {"a": "PASSED", "b": "KILLED"}
    assert trio.current_time() == 50


async def test_killing_a_job_by_its_id(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job("a"), job("b", "a"), job("c")], FakeBackend(takes(50)))
    results = await run_and(scheduler, 10, lambda: scheduler.kill(["a"], by="me"))
    assert kinds(results) == {"a": "cancelled", "b": "dependency", "c": None}
    assert results[0].reason is not None
    assert results[0].reason.message == "killed by me"
    assert results[0].ended == 10


async def test_a_job_killed_while_its_submit_is_under_way_has_one_end(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job("a"), job("b")], driven_by(SlowToLaunch, FakeBackend, takes(50)), max_parallelism=1)
    results = await run_and(scheduler, 10, lambda: scheduler.kill(["a", "b"]))
    assert kinds(results) == {"a": "cancelled", "b": "cancelled"}
    assert scheduler.statistics().stray_events == 0


async def test_a_stop_before_the_run_runs_nothing(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job("a")], FakeBackend())
    scheduler.stop(by="me")
    assert kinds(await scheduler.run()) == {"a": "cancelled"}


async def test_too_many_failures_stop_the_run(autojump_clock: MockClock) -> None:
    policy = table(bad=FakeRun(JobStatus.FAILED, duration=5), long=FakeRun(duration=100))
    results = await run_jobs([job("bad"), job("long"), job("next", "long")], FakeBackend(policy), max_failures=1)
    assert "killed by the limit of 1 failure" in [result.reason.message for result in results if result.reason]
    assert statuses(results) == {"bad": "FAILED", "long": "KILLED", "next": "KILLED"}
    assert trio.current_time() == 5


async def test_jobs_can_be_added_during_the_run(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job("a")], FakeBackend(takes(10)))
    results = await run_and(scheduler, 5, lambda: scheduler.add([job("b", "a"), job("c")]))
    assert [(result.id, result.ended) for result in results] == [("a", 10), ("b", 20), ("c", 15)]


# ---------------------------------------------------------------------- watching


async def test_a_watcher_sees_every_move_in_order(autojump_clock: MockClock) -> None:
    policy = table(a=FakeRun(duration=5, queued=3), b=FakeRun(JobStatus.FAILED, duration=1))
    scheduler = Scheduler([job("a"), job("b", "a"), job("c", "b")], FakeBackend(policy))
    stream = scheduler.subscribe()
    await scheduler.run()
    moves: dict[str, list[tuple[str, float]]] = {}
    async for change in stream:
        moves.setdefault(change.id, []).append((change.new.name, change.at))
    assert moves == {
        "a": [("QUEUED", 0), ("RUNNING", 3), ("PASSED", 8)],
        "b": [("QUEUED", 8), ("RUNNING", 8), ("FAILED", 9)],
        "c": [("KILLED", 9)],
    }


async def test_statistics_count_by_status_and_resource(autojump_clock: MockClock) -> None:
    scheduler = Scheduler([job("a", resources={"lic": 2}), job("b", "a")], FakeBackend(takes(10)), resources={"lic": 3})
    seen = []
    await run_and(scheduler, 5, lambda: seen.append(scheduler.statistics()))
    (during,) = seen
    assert (during.total, during.unfinished, during.in_flight) == (2, 2, 1)
    assert during.counts[JobStatus.RUNNING] == during.counts[JobStatus.SCHEDULED] == 1
    assert during.resources == {"lic": (2, 3)}
    assert scheduler.statistics().counts[JobStatus.PASSED] == 2


# ---------------------------------------------------------------------- limits that change


class Licences:
    """A licence server: its answers, one after the other; the last one stays."""

    def __init__(self, *answers: int | Exception | float) -> None:
        self.answers = list(answers)
        self.asked: list[float] = []

    async def capacity(self) -> int:
        self.asked.append(trio.current_time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await trio.sleep(answer)
        return int(answer) if answer != math.inf else 0


async def test_a_limit_that_changes_is_followed_during_the_run(autojump_clock: MockClock) -> None:
    licences = Licences(1, 1, 3)
    jobs = [job(f"j{i}", resources={"lic": 1}) for i in range(4)]
    results = await run_jobs(jobs, FakeBackend(takes(100)), resources={"lic": licences})
    assert [result.started for result in results] == [0, 20, 20, 100]


@pytest.mark.parametrize(("interval", "asked"), [(30.0, 30), (0, 10), ("soon", 10), (math.nan, 10)])
async def test_a_provider_may_say_how_often_it_is_asked(
    autojump_clock: MockClock, interval: object, asked: float
) -> None:
    licences = Licences(1)
    licences.interval = interval  # type: ignore[attr-defined]  # it is optional
    await run_jobs([job("a", resources={"lic": 1})], FakeBackend(takes(100)), resources={"lic": licences})
    assert licences.asked[:3] == [0, asked, 2 * asked]


async def test_a_provider_that_fails_or_hangs_keeps_its_last_value(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    licences = Licences(1, OSError("down"), math.inf, 2)
    jobs = [job(f"j{i}", resources={"lic": 1}) for i in range(3)]
    results = await run_jobs(jobs, FakeBackend(takes(200)), resources={"lic": licences})
    assert [result.started for result in results] == [0, licences.asked[3], 200]
    assert licences.asked[:4] == [0, 10, 30, 80]
    assert [record.getMessage() for record in caplog.records if "is kept" in record.getMessage()] == [
        "the limit of resource 'lic' is not known, the last value is kept: OSError('down')"
    ]


# ---------------------------------------------------------------------- clocks and chance


async def test_a_wall_clock_that_jumps_moves_no_limit(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = itertools.cycle([2e9, 1e9, -1e9, 5e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    policy = table(slow=FakeRun(duration=math.inf), stuck=FakeRun(queued=math.inf), busy=FakeRun(busy=True))
    jobs = [job("slow", timeout=7), job("stuck", queue_timeout=5), job("after", "slow"), job("busy", backend="full")]
    backends = {"fake": FakeBackend(policy), "full": FakeBackend(policy)}
    results = await run_jobs(jobs, backends, busy_timeout=60)
    assert kinds(results) == {"slow": "timeout", "stuck": "queue_timeout", "after": "dependency", "busy": "busy"}
    assert [result.ended for result in results[:3]] == [7, 5, 7]
    assert 60 <= results[3].ended <= 70


def history(chance: int) -> list[tuple[object, ...]]:
    """Return the events of a run on two backends with scarce resources, in order; `chance` seeds trio's task order."""

    def fields(layer: int, i: int) -> dict[str, Any]:
        return {"backend": "other" if i % 3 == 0 else None, "resources": {"lic": 1} if (layer + i) % 2 else None}

    def policy(spec: JobSpec, _attempt: int) -> FakeRun:
        number = sum(map(ord, spec.id))
        return FakeRun(JobStatus.FAILED if number % 7 == 0 else JobStatus.PASSED, duration=number % 3)

    async def main() -> list[tuple[object, ...]]:
        jobs = [
            job(f"{layer}.{i}", *([f"{layer - 1}.{(i + 5) % 12}"] if layer else []), **fields(layer, i))
            for layer in range(4)
            for i in range(12)
        ]
        backends = {"fake": FakeBackend(policy, max_parallelism=5), "other": FakeBackend(policy)}
        scheduler = Scheduler(jobs, backends, resources={"lic": 3})
        with scheduler.subscribe(math.inf) as stream:
            await scheduler.run()
            return [(change.at, change.id, change.new) for change in stream.take_nowait()]

    trio._core._run._r.seed(chance)  # it has no public name; Hypothesis seeds it, too
    return trio.run(main, clock=MockClock(autojump_threshold=0))


def test_i15_the_same_chance_gives_the_same_history() -> None:
    histories = [history(chance) for chance in (1, 2, 3)]
    assert all(len(each) > 100 for each in histories)
    assert histories != histories[:1] * 3, "chance has no say, and the test shows nothing"
    assert [history(chance) for chance in (1, 2, 3)] == histories


# ---------------------------------------------------------------------- size


def calls_for(count: int) -> int:
    """Return how many function calls it takes to run `count` independent jobs, 50 at a time."""
    jobs = [job(f"j{i}") for i in range(count)]
    calls = 0

    def counting(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(counting)
    try:
        results = trio.run(run_jobs, jobs, FakeBackend(max_parallelism=50))
    finally:
        sys.setprofile(None)
    assert len(results) == count
    return calls


@pytest.mark.slow
def test_operations_per_job_do_not_grow_with_the_number_of_jobs() -> None:
    few, many = calls_for(1_000), calls_for(20_000)
    assert many / 20_000 <= 1.2 * few / 1_000


@pytest.mark.slow
async def test_a_chain_of_100_000_whose_first_fails_gives_100_000_results(autojump_clock: MockClock) -> None:
    jobs = [job("j0"), *(job(f"j{i}", f"j{i - 1}") for i in range(1, 100_000))]
    results = await run_jobs(jobs, FakeBackend(table(j0=FakeRun(JobStatus.FAILED))))
    assert [result.status for result in results] == [JobStatus.FAILED, *[JobStatus.KILLED] * 99_999]
    assert results[-1].reason is not None
    assert results[-1].reason.message == "it needs 'j99998', which ended as KILLED"


async def test_nothing_is_left_behind(autojump_clock: MockClock) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    await run_jobs([job("a"), job("b", "a")], FakeBackend(takes(1)))
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == before


def test_a_clock_is_all_that_a_run_needs() -> None:
    clock = MockClock(autojump_threshold=0)
    results = trio.run(run_jobs, [job("a")], FakeBackend(takes(3600)), clock=clock)
    assert statuses(results) == {"a": "PASSED"}
    assert isinstance(FakeBackend(), RuntimeBackend)


async def test_a_backend_that_says_what_is_wrong_is_quoted_and_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    class Nowhere(FakeDriver):
        async def setup(self) -> None:
            raise BackendBrokenError("there is no farm here")

    (result,) = await run_jobs([JobSpec(name="a", cmd="true")], driven_by(Nowhere, FakeBackend))
    assert result.reason is not None
    assert result.reason.message == "there is no farm here"
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is None
    assert record.getMessage().startswith("there is no farm here; the jobs of backend 'fake' are ended")


@pytest.mark.parametrize("what", ["add", "kill", "stop"])
async def test_a_call_from_a_thread_is_an_error_that_changes_nothing(what: str) -> None:
    scheduler = Scheduler([job("a")], FakeBackend(lambda *_: FakeRun(duration=math.inf)))
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: scheduler.add([job("b")]),
        "kill": lambda: scheduler.kill(["a"]),
        "stop": scheduler.stop,
    }
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await wait_all_tasks_blocked()
        with (
            ThreadPoolExecutor(1) as pool,
            pytest.raises(RuntimeError, match=rf"Scheduler\.{what}\(\) was called outside"),
        ):
            pool.submit(calls[what]).result()
        assert scheduler.statistics().total == 1
        scheduler.add([job("b")])
        await wait_all_tasks_blocked()
        assert scheduler.statistics().in_flight == 2
        scheduler.stop()
    assert [result.status for result in scheduler.results()] == [JobStatus.KILLED] * 2
