"""DVSim's tests of its asynchronous scheduler, for ours: through the adapter, with scripted launchers.

Each test has the name of a test of DVSim, and as many cases. docs/parity.md has the table, and says where ours differs
on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime import (
    FailureKind,
    GraphError,
    JobResult,
    JobSpec,
    JobStatus,
    LauncherBusyError,
    LauncherError,
    Scheduler,
)
from runtime.testing.launchers import Act, Script, raises, says, scripted
from runtime.testing.virtual import VirtualAdapter

RUNNING, PASSED, FAILED, KILLED = JobStatus.RUNNING, JobStatus.PASSED, JobStatus.FAILED, JobStatus.KILLED


class Site:
    """A class of scripted launchers, which counts how many of its jobs were in progress at once."""

    def __init__(self, scripts: Mapping[str, Script] | None = None, **attributes: Any) -> None:
        self.scripts = dict(scripts or {})
        self.cls = scripted(self._script, **{"poll_freq": 1, **attributes})
        self.now = self.most = 0

    def _script(self, job: Any) -> Script:
        script = self.scripts.get(job.id, ends_at(1))
        first, last = script.launch[-1], script.poll[-1]
        began = Act(says=first.says, raises=first.raises, does=lambda _: self._count(1))
        ended = Act(says=last.says, raises=last.raises, does=lambda _: self._count(-1))
        return Script(poll=[*script.poll[:-1], ended], launch=[*script.launch[:-1], began], kill=script.kill)

    def _count(self, step: int) -> None:
        self.now += step
        self.most = max(self.most, self.now)

    async def run(
        self, jobs: Sequence[JobSpec], *, limit: int | None = None, **options: Any
    ) -> list[JobResult[JobSpec]]:
        return await Scheduler(jobs, VirtualAdapter(self.cls, max_parallelism=limit), **options).run()

    @property
    def order(self) -> list[str]:
        """The jobs in the order in which they were launched."""
        return [deed.job_id for deed in self.cls.trace if deed.step == "launch"]


def ends_at(polls: int, status: JobStatus = PASSED) -> Script:
    """A job that has ended at this poll, and runs before."""
    return Script(poll=[*[says(RUNNING)] * (polls - 1), says(status)])


def make(
    count: int,
    needs: Mapping[int, Sequence[int]] | None = None,
    each: Callable[[int], Any] | None = None,
    **common: Any,
) -> list[JobSpec]:
    """Return jobs j0, j1, …, with their dependencies by number."""
    needs = needs or {}
    return [
        JobSpec(
            **{
                "name": f"j{i}",
                "cmd": "true",
                "dependencies": [f"j{need}" for need in needs.get(i, ())],
                **common,
                **(each(i) if each else {}),
            }
        )
        for i in range(count)
    ]


def statuses(results: Sequence[JobResult[JobSpec]]) -> list[JobStatus]:
    return [result.status for result in results]


async def test_empty(autojump_clock: MockClock) -> None:
    assert await Site().run([]) == []


async def test_job_run(autojump_clock: MockClock) -> None:
    assert statuses(await Site().run(make(1))) == [PASSED]


async def test_many_jobs_run(autojump_clock: MockClock) -> None:
    assert statuses(await Site().run(make(5))) == [PASSED] * 5


def test_duplicate_jobs() -> None:
    """DVSim drops the second one silently, and so loses it. Here it is an error before anything runs."""
    with pytest.raises(GraphError, match="'j0' is given twice"):
        Scheduler([*make(3), *make(6)], VirtualAdapter(Site().cls))


@pytest.mark.parametrize("count", [2, 3, 5, 10, 20, 100])
async def test_parallel_dispatch(count: int, autojump_clock: MockClock) -> None:
    site = Site()
    assert statuses(await site.run(make(count))) == [PASSED] * count
    assert site.most == count


@pytest.mark.parametrize("count", [5, 10, 20])
@pytest.mark.parametrize("limit", [1, 5, 15, 25])
@pytest.mark.parametrize("where", ["scheduler", "backend", "class"])
async def test_max_parallel(count: int, limit: int, where: str, autojump_clock: MockClock) -> None:
    site = Site(max_parallel=limit if where == "class" else 0)
    on_scheduler = {"max_parallelism": limit} if where == "scheduler" else {}
    results = await site.run(make(count), limit=limit if where == "backend" else None, **on_scheduler)
    assert statuses(results) == [PASSED] * count
    assert site.most == min(count, limit)


@pytest.mark.parametrize("count_a", [5, 10, 20])
@pytest.mark.parametrize("count_b", [7, 13, 26])
@pytest.mark.parametrize("limit", [2, 20, 35])
async def test_resource_parallelism(count_a: int, count_b: int, limit: int, autojump_clock: MockClock) -> None:
    site = Site()
    jobs = make(count_a + count_b, each=lambda i: {"resources": {"A" if i < count_a else "B": 1}})
    assert set(statuses(await site.run(jobs, resources={"A": limit, "B": limit}))) == {PASSED}
    assert site.most == min(count_a, limit) + min(count_b, limit)


@pytest.mark.parametrize("amount", [1, 2, 5])
@pytest.mark.parametrize("limit", [5, 16, 33, None])
async def test_resource_usage(amount: int, limit: int | None, autojump_clock: MockClock) -> None:
    site = Site()
    count = limit * 2 if limit else amount * 2
    assert set(statuses(await site.run(make(count, resources={"TEST": amount}), resources={"TEST": limit}))) == {PASSED}
    assert site.most == (limit // amount if limit else count)


@pytest.mark.parametrize("polls", [5, 10, 50])
@pytest.mark.parametrize("status", [PASSED, FAILED, KILLED])
async def test_repeated_poll(polls: int, status: JobStatus, autojump_clock: MockClock) -> None:
    site = Site({"j0": ends_at(polls, status)})
    assert statuses(await site.run(make(1))) == [status]
    assert site.cls.steps("j0").count("poll") == polls


async def test_no_over_poll(autojump_clock: MockClock) -> None:
    polls = {f"j{i}": (i + 1) * 10 for i in range(10)}
    site = Site({name: ends_at(count) for name, count in polls.items()})
    assert statuses(await site.run(make(10))) == [PASSED] * 10
    assert {name: site.cls.steps(name).count("poll") for name in polls} == polls


async def test_launcher_error(autojump_clock: MockClock) -> None:
    """DVSim polls a launcher that could not launch, which may lead to a second completion. Here it does not."""
    site = Site({"j0": Script(launch=[raises(LauncherError("abc"))])})
    (result,) = await site.run(make(1))
    assert result.status is KILLED
    assert result.reason is not None
    assert (result.reason.kind, "LauncherError: abc" in result.reason.message) == (FailureKind.LAUNCH_ERROR, True)
    assert site.cls.steps("j0") == ["build", "launch"]


@pytest.mark.parametrize("times", [1, 2, 5, 10])
async def test_launcher_busy_error(times: int, autojump_clock: MockClock) -> None:
    site = Site({"j0": Script(launch=[*[raises(LauncherBusyError("abc"))] * times, Act()])})
    assert statuses(await site.run(make(1))) == [PASSED]
    assert site.cls.steps("j0") == ["build", *["launch"] * (times + 1), "poll"]


@pytest.mark.parametrize("needs_all", [True, False])
async def test_no_deps(needs_all: bool, autojump_clock: MockClock) -> None:
    assert statuses(await Site().run(make(1, needs_all_dependencies_passing=needs_all))) == [PASSED]


ANY_CASES: list[tuple[dict[int, list[int]], set[int]]] = [
    ({0: [1]}, {0, 1, 3}),
    ({1: [2]}, {0, 3}),
    ({3: [2, 4]}, {0, 1}),
    ({3: [1, 2, 4]}, {0, 1, 3}),
    ({0: [1, 2, 3, 4]}, {0, 1, 3}),
]
ALL_CASES: list[tuple[dict[int, list[int]], set[int]]] = [
    ({0: [1]}, {0, 1, 3}),
    ({1: [0, 3]}, {0, 1, 3}),
    ({3: [2]}, {0, 1}),
    ({0: [3, 4]}, {1, 3}),
    ({3: [0, 1, 2]}, {0, 1}),
    ({1: [0, 2, 3, 4]}, {0, 3}),
]


async def check_needs(needs: dict[int, list[int]], passes: set[int], *, needs_all: bool) -> None:
    """Of five jobs the third and the fifth fail."""
    site = Site({"j2": ends_at(1, FAILED), "j4": ends_at(1, FAILED)})
    results = await site.run(make(5, needs, needs_all_dependencies_passing=needs_all))
    expected = [PASSED if i in passes else FAILED if i in {2, 4} else KILLED for i in range(5)]
    assert statuses(results) == expected


@pytest.mark.parametrize(("needs", "passes"), ANY_CASES)
async def test_needs_any_dep(needs: dict[int, list[int]], passes: set[int], autojump_clock: MockClock) -> None:
    await check_needs(needs, passes, needs_all=False)


@pytest.mark.parametrize(("needs", "passes"), ALL_CASES)
async def test_needs_all_deps(needs: dict[int, list[int]], passes: set[int], autojump_clock: MockClock) -> None:
    await check_needs(needs, passes, needs_all=True)


@pytest.mark.parametrize(
    "needs",
    [
        {0: [1], 1: [0]},
        {0: [1], 1: [2], 2: [0]},
        {0: [1], 1: [2], 2: [3], 3: [4], 4: [0]},
        {0: [1, 2], 1: [2], 2: [3, 4, 0]},
        {0: [1, 2, 3, 4], 1: [2, 3, 4], 2: [3, 4], 3: [4], 4: [0]},
    ],
)
def test_dep_cycle(needs: dict[int, list[int]]) -> None:
    """DVSim says that there is a cycle; here the message shows its path."""
    with pytest.raises(GraphError, match=r"cycle.*j0.*->.*j"):
        Scheduler(make(5, needs), VirtualAdapter(Site().cls))


@pytest.mark.parametrize(
    "needs",
    [
        {0: [1, 2, 3, 4], 1: [2, 3, 4], 2: [3, 4], 3: [4]},
        {0: [1, 2], 4: [2, 3]},
        {0: [1], 1: [2], 2: [3], 3: [4]},
        {0: [1, 2, 3, 4], 1: [2], 3: [2, 4], 4: [2]},
    ],
)
async def test_dep_resolution(needs: dict[int, list[int]], autojump_clock: MockClock) -> None:
    site = Site()
    assert statuses(await site.run(make(5, needs))) == [PASSED] * 5
    place = {name: index for index, name in enumerate(site.order)}
    assert all(place[f"j{need}"] < place[f"j{i}"] for i, of_it in needs.items() for need in of_it)


async def test_deps_across_polls(autojump_clock: MockClock) -> None:
    site = Site({f"j{i}": ends_at(i * 5) for i in range(1, 5)})
    assert statuses(await site.run(make(5, {4: [0, 1, 2, 3]}))) == [PASSED] * 5
    assert [site.cls.steps(f"j{i}").count("poll") for i in range(1, 5)] == [5, 10, 15, 20]
    assert site.order[-1] == "j4"


async def test_multiple_targets(autojump_clock: MockClock) -> None:
    assert statuses(await Site().run(make(15, each=lambda i: {"target": f"t{i // 3}"}))) == [PASSED] * 15


@pytest.mark.parametrize("count", range(2, 6))
async def test_cross_target_deps(count: int, autojump_clock: MockClock) -> None:
    site = Site()
    jobs = make(count, {i: [i - 1] for i in range(1, count)}, each=lambda i: {"target": f"t{i}"})
    assert statuses(await site.run(jobs)) == [PASSED] * count
    assert site.order == [job.id for job in jobs]


@pytest.mark.parametrize("count", range(2, 6))
async def test_dep_fan_in(count: int, autojump_clock: MockClock) -> None:
    site = Site()
    assert statuses(await site.run(make(count + 1, {0: range(1, count + 1)}))) == [PASSED] * (count + 1)
    assert site.order[-1] == "j0"
    assert site.most == count


@pytest.mark.parametrize("count", range(2, 6))
async def test_dep_fan_out(count: int, autojump_clock: MockClock) -> None:
    site = Site()
    jobs = make(count + 1, {i: [count] for i in range(count)}, each=lambda i: {"target": f"t{i}"})
    assert statuses(await site.run(jobs)) == [PASSED] * (count + 1)
    assert site.order[0] == f"j{count}"
    assert site.most == count


async def test_non_consecutive_targets(autojump_clock: MockClock) -> None:
    assert statuses(await Site().run(make(4, {3: [0]}, each=lambda i: {"target": f"t{i}"}))) == [PASSED] * 4


async def test_target_out_of_order(autojump_clock: MockClock) -> None:
    jobs = make(4, {1: [0], 2: [3]}, each=lambda i: {"target": f"t{i}"})
    backend = VirtualAdapter(Site().cls)  # one backend for both runs, as in DVSim's test
    for some in (jobs[:2], jobs[2:]):
        assert statuses(await Scheduler(some, backend).run()) == [PASSED] * 2


async def test_bidirectional_deps(autojump_clock: MockClock) -> None:
    site = Site()
    jobs = make(3, {0: [1], 1: [2]}, each=lambda i: {"target": f"t{i % 2}"})
    assert statuses(await site.run(jobs)) == [PASSED] * 3
    assert site.order == ["j2", "j1", "j0"]


@pytest.mark.parametrize("status", [FAILED, KILLED])
async def test_dep_fail_propagation(status: JobStatus, autojump_clock: MockClock) -> None:
    site = Site({"j0": ends_at(1, status)})
    results = await site.run(make(5, {i: [i - 1] for i in range(1, 5)}))
    assert statuses(results) == [status, *[KILLED] * 4]
    assert {result.reason and result.reason.kind for result in results[1:]} == {FailureKind.DEPENDENCY}
    assert site.order == ["j0"]


async def test_job_priority(autojump_clock: MockClock) -> None:
    site = Site()
    start = JobSpec(name="start", cmd="true")
    weighted = make(6, each=lambda i: {"weight": i + 1, "target": f"t{i}", "dependencies": ["start"]})
    assert set(statuses(await site.run([start, *weighted], limit=1))) == {PASSED}
    assert site.order == ["start", "j5", "j4", "j3", "j2", "j1", "j0"]


async def test_zero_weight(autojump_clock: MockClock) -> None:
    assert statuses(await Site().run(make(5, weight=0))) == [PASSED] * 5


async def test_blocked_weight_starvation(autojump_clock: MockClock) -> None:
    site = Site({"short": ends_at(1), "long": ends_at(5)})
    start = JobSpec(name="start", cmd="true")
    blockers = [JobSpec(name=name, cmd="true", dependencies=["start"]) for name in ("short", "long")]
    high = JobSpec(name="high", cmd="true", dependencies=["long"], weight=1000000)
    low = make(5, each=lambda i: {"dependencies": ["short"], "target": f"t{i}"})
    assert set(statuses(await site.run([start, *blockers, high, *low]))) == {PASSED}
    assert (site.order[0], site.order[-1]) == ("start", "high")


async def test_custom_priority(autojump_clock: MockClock) -> None:
    site = Site()
    jobs = make(5, each=lambda i: {"weight": i + 1})
    assert set(statuses(await site.run(jobs, limit=1, priority=lambda job, _: -int(job.name[1:])))) == {PASSED}
    assert site.order == [job.id for job in jobs]


@pytest.mark.parametrize("poll_freq", [1, 360_000])
@pytest.mark.parametrize(("by", "twice"), [("SIGTERM", False), ("SIGINT", False), ("SIGINT", True)])
async def test_signal_kill(by: str, twice: bool, poll_freq: float, autojump_clock: MockClock) -> None:
    """The command line turns signals into these calls: see tests/cli/test_stop_on_signal.py.

    DVSim's second signal ends its process, and there are no results. Here they are complete.
    """
    kill = [Act(delay=100.0 if twice else 0.0)]
    site = Site({f"j{i}": Script(poll=[says(RUNNING)], kill=kill) for i in range(3)}, poll_freq=poll_freq)
    scheduler = Scheduler(make(3), VirtualAdapter(site.cls, max_parallelism=2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await wait_all_tasks_blocked()
        scheduler.stop(by=by)
        if twice:
            scheduler.stop(by=by, force=True)
    assert statuses(scheduler.results()) == [KILLED] * 3
    assert trio.current_time() <= 30  # the deadline of a kill, however long the polls' interval is
    reasons = [result.reason.kind for result in scheduler.results() if result.reason]
    assert reasons == [*[FailureKind.LOST if twice else FailureKind.CANCELLED] * 2, FailureKind.CANCELLED]
    assert site.order == ["j0", "j1"]
