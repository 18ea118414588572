"""Ctrl-C in programs that embed the runtime. The campaign `interrupts` runs more of the same, and measures."""

from __future__ import annotations

import ast
import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import runtime
from runtime import FakeBackend, JobSpec, JobStatus, RuntimeBackend, run_jobs
from runtime.backend.fake import FakeRun
from runtime.job import EventBatch
from runtime.scheduler.run import Scheduler
from tests.backend import interrupted_program
from tests.backend.manual import ManualBackend, ManualDriver, driven_by, job
from tests.campaigns.interrupts import (
    OURS,
    PROGRAMS,
    SITES,
    InterruptedBefore,
    Line,
    Program,
    Tracer,
    UnderItsOwn,
    UnderOurScheduler,
    interrupt_really,
    lines_of,
    play,
    play_some,
)


def tasks_started() -> Iterator[tuple[str, str]]:
    """The file and the function of each task that our nurseries start and whose function is not marked."""
    trees = {
        path: ast.parse(path.read_text())
        for path in sorted(Path(runtime.__file__).parent.rglob("*.py"))
        if not {"cli", "testing"} & set(path.parts)  # which has handlers of its own; which is for tests
    }
    marked = {path: marked_functions(tree) for path, tree in trees.items()}
    everywhere = set().union(*marked.values())
    for path, tree in trees.items():
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "start_soon":
                name = ast.unparse(node.args[0]).rpartition(".")[2]
                if name not in (marked[path] if name in defined else everywhere):
                    yield path.name, name


def marked_functions(tree: ast.AST) -> set[str]:
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef)
        and any(ast.unparse(each).endswith("enable_ki_protection") for each in node.decorator_list)
    }


def test_each_task_of_ours_begins_with_a_function_that_is_protected() -> None:
    assert list(tasks_started()) == []


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_no_line_that_a_task_of_ours_runs_can_be_interrupted(kind: type[Program], site: str) -> None:
    lines: set[Line] = set()
    unprotected: set[str] = set()

    def look(frame: FrameType) -> None:
        # Between two tasks, only a finalizer of what another test has left behind can run.
        if trio.lowlevel.in_trio_task() and trio.lowlevel.current_task() is not tracer.main_task:
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            if not trio.lowlevel.currently_ki_protected():
                unprotected.add(frame.f_code.co_qualname)

    tracer = Tracer(look=look)
    play(kind, site, tracer)
    assert len(lines) > 150
    assert unprotected <= {"call_hook"}


def lines_in(kind: type[Program], site: str, files: tuple[str, ...]) -> list[Line]:
    return [line for line in sorted(lines_of(kind, site)) if line[0].removeprefix(OURS) in files]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [UnderItsOwn, InterruptedBefore])
def test_ctrl_c_at_each_line_of_the_block_ends_it(kind: type[Program]) -> None:
    files = ("open_backend.py", "submissions.py", "backend.py", "interrupts.py")
    lines = lines_in(kind, "fake", tuple(f"backend/contract/{name}" for name in files))
    assert len(lines) > 100
    for line in lines:
        play(kind, "fake", Tracer(line), limit=1)  # seconds of virtual time


@pytest.mark.slow
def test_ctrl_c_at_each_line_of_a_backend_runner_ends_the_run() -> None:
    lines = lines_in(UnderOurScheduler, "fake", ("scheduler/runner.py", "scheduler/run.py"))
    assert len(lines) > 100
    for line in lines:
        play(UnderOurScheduler, "fake", Tracer(line), limit=1)


@pytest.mark.slow
def test_ctrl_c_at_some_lines_of_everything() -> None:
    done, known, _ = play_some(20261129, 1)
    assert done > len(PROGRAMS) * len(SITES) / 2
    assert known > 5000


@pytest.mark.slow
@pytest.mark.parametrize("program", interrupted_program.PROGRAMS)
def test_a_real_ctrl_c_ends_a_real_program(program: str) -> None:
    interrupt_really(program, 0.1)


# ---------------------------------------------------------------------- what a caller sees


def run_in_virtual_time(main: Callable[..., Any], *args: Any) -> float:
    """Run a program that only Ctrl-C ends; return the time of its end."""
    clock = MockClock(autojump_threshold=0)
    with pytest.raises(KeyboardInterrupt):
        trio.run(main, *args, clock=clock)
    return clock.current_time()


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


async def interrupt_at(*times: float) -> None:
    """Press Ctrl-C at these times. For a system task."""
    for at in times:
        await trio.sleep_until(at)
        interrupt()


def for_ever(kill_duration: float = 0) -> Callable[..., FakeRun]:
    return lambda *_: FakeRun(duration=math.inf, kill_duration=kill_duration)


def test_it_leaves_a_run_as_it_is_and_in_no_group() -> None:
    scheduler = Scheduler([job("a"), job("b", dependencies=["a"])], FakeBackend(for_ever(kill_duration=3)))

    async def main() -> None:
        start = trio.current_time()
        trio.lowlevel.spawn_system_task(interrupt_at, start + 5)
        try:
            await scheduler.run()
        finally:
            assert trio.current_time() == start + 8

    run_in_virtual_time(main)
    assert [result.status for result in scheduler.results()] == [JobStatus.KILLED] * 2


class SlowToKill(ManualDriver):
    """Jobs that end only if they are killed with force."""

    def force(self, jobs: Any) -> None:
        super().force(jobs)
        for each in jobs:
            self.backend.die(each.id)


async def with_our_scheduler(backend: RuntimeBackend) -> None:
    await run_jobs([job("a")], backend)


async def with_its_own(backend: RuntimeBackend) -> None:
    send, receive = trio.open_memory_channel[EventBatch](math.inf)
    with send, receive:
        async with backend.open(send):
            await backend.submit(job("a"))
            await trio.sleep_forever()


@pytest.mark.parametrize("program", [with_our_scheduler, with_its_own])
def test_the_second_one_leaves_out_the_gentle_steps(program: Callable[..., Any]) -> None:
    backend = driven_by(SlowToKill, ManualBackend)

    async def main() -> None:
        start = trio.current_time()
        trio.lowlevel.spawn_system_task(interrupt_at, start + 1, start + 3)
        try:
            await program(backend)
        finally:
            assert trio.current_time() == pytest.approx(start + 3, abs=1)

    run_in_virtual_time(main)
    assert backend.killed == backend.forced == ["a"]


def test_the_third_one_waits_for_no_job() -> None:
    backend = ManualBackend()

    async def main() -> None:
        start = trio.current_time()
        trio.lowlevel.spawn_system_task(interrupt_at, start + 1, start + 2, start + 3)
        try:
            await with_its_own(backend)
        finally:
            assert trio.current_time() < start + 5

    run_in_virtual_time(main)
    assert backend.forced == ["a"]
    assert backend.statistics().live == 0


def test_one_in_a_submission_cancels_it() -> None:
    backend = FakeBackend(for_ever())

    async def main() -> None:
        send, receive = trio.open_memory_channel[EventBatch](math.inf)
        with send, receive:
            async with backend.open(send):

                def jobs() -> Iterator[JobSpec]:
                    yield job("a")
                    interrupt()  # a generator of the caller may never end
                    yield job("b")

                await backend.submit_many(jobs())

    run_in_virtual_time(main)
    assert backend.statistics().submitted == 0


def test_a_policy_can_be_interrupted_and_its_jobs_complete() -> None:
    went_on: list[str] = []

    def policy(spec: JobSpec, _attempt: int) -> FakeRun:
        if spec.id == "b":
            interrupt()
            went_on.append(spec.id)
        return FakeRun(duration=math.inf)

    backend = FakeBackend(policy)
    scheduler = Scheduler([job("a"), job("b"), job("c")], backend)

    async def main() -> None:
        start = trio.current_time()
        try:
            await scheduler.run()
        finally:
            assert trio.current_time() == start

    run_in_virtual_time(main)
    assert len(scheduler.results()) == 3
    assert backend.statistics().live == 0
    assert not went_on


def test_a_priority_function_can_be_interrupted_and_no_job_is_forgotten() -> None:
    went_on: list[str] = []

    def priority(spec: JobSpec, _dependents: int) -> int:
        if spec.id == "b":
            interrupt()
            went_on.append(spec.id)
        return 1

    backend = FakeBackend(for_ever())
    scheduler = Scheduler([job("a"), job("b"), job("c")], backend, priority=priority)
    run_in_virtual_time(scheduler.run)
    assert [result.id for result in scheduler.results()] == ["a", "b", "c"]
    assert not went_on
    assert backend.statistics().live == 0


def test_a_resource_provider_can_be_interrupted() -> None:
    went_on: list[str] = []

    class Provider:
        async def capacity(self) -> int:
            await trio.lowlevel.checkpoint()
            interrupt()
            went_on.append("x")
            return 1

    scheduler = Scheduler([job("a", resources={"x": 1})], FakeBackend(for_ever()), resources={"x": Provider()})
    run_in_virtual_time(scheduler.run)
    assert len(scheduler.results()) == 1
    assert not went_on
