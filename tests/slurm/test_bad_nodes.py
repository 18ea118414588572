"""A node on which jobs fail gets no more of them: seen in the commands that submit, on a virtual Slurm."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.job import FailureKind, JobStatus
from tests.slurm.fakes import Say
from tests.slurm.fakes.controller import Settings
from tests.slurm.fakes.jobs import PENDING, Job
from tests.slurm.virtual import Run, Scene, open_scene

Stage = Callable[..., AbstractAsyncContextManager[Scene]]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return partial(open_scene, tmp_path, monkeypatch)


def excluded(scene: Scene) -> list[list[str]]:
    """Return the nodes that each submission excludes."""
    calls = [arguments for program, _, arguments in scene.slurm.calls if program == "sbatch"]
    return [[word for word in arguments if word.startswith("--exclude")] for arguments in calls]


async def fail_jobs_on(scene: Scene, node: str, prefix: str) -> None:
    """Run jobs on both nodes, of which those on one node end because it fails."""
    scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
    handles = await scene.submit(*(f"{prefix}{number}" for number in range(4)))
    await trio.sleep(5)
    lost = [job for job in scene.slurm.controller.jobs if job.node == node and job.is_active]
    scene.slurm.change(lambda controller: controller.take_away(lost, state="NODE_FAIL"))
    names = {scene.slurm.name_of(job) for job in lost}
    events = [await scene.end(handle) for handle in handles if handle.job_id in names]
    assert {None if event.reason is None else event.reason.kind for event in events} == {FailureKind.NODE_FAILURE}
    await scene.backend.kill_many([handle for handle in handles if handle.job_id not in names])


async def test_a_node_that_fails_twice_gets_no_more_jobs(
    stage: Stage, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage() as scene:
        assert {event.status for event in await scene.run("a", "b")} == {JobStatus.PASSED}
        with caplog.at_level(logging.WARNING):
            await fail_jobs_on(scene, "n1", "fails")
        (line,) = [record.message for record in caplog.records if "excluded" in record.message]
        assert line.startswith(
            "backend 'slurm': node n1 is excluded for the rest of the run, as jobs failed there 2 times within 10 min;"
        )
        assert "NODE_FAIL" in line
        scene.slurm.runs = lambda _name, _restarts: Run()
        assert {event.status for event in await scene.run("c", "d", "e")} == {JobStatus.PASSED}
        assert excluded(scene) == [[], [], ["--exclude=n1"]]
        last = [job for job in scene.slurm.controller.jobs if job.request.excluded]
        assert [job.node for job in last] == ["n2"] * 3
        await fail_jobs_on(scene, "n2", "more")
        assert excluded(scene)[-1] == ["--exclude=n1"], "the last node that works is kept"


async def test_nodes_that_the_user_excludes_stay_excluded(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(extra=["--exclude=n1"]) as scene:
        await scene.run("a")
        scene.slurm.controller.settings.nodes = ("n1", "n2", "n3")
        scene.slurm.controller.unavailable["n2"] = "Drain"
        await scene.run("b")
        del scene.slurm.controller.unavailable["n2"]
        await fail_jobs_on(scene, "n3", "fails")
        scene.slurm.runs = lambda _name, _restarts: Run()
        await scene.run("c")
        assert excluded(scene) == [*([["--exclude=n1"]] * 3), ["--exclude=n1,n3"]]


async def test_a_program_that_no_node_has_costs_no_node(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage() as scene:
        await scene.run("a", "b")
        names = [f"misspelt{number}" for number in range(6)]
        specs = [scene.spec(name, cmd=["smi"]) for name in names]  # type: ignore[arg-type]  # words, no text
        handles = await scene.session.submit(specs)
        events = [await scene.end(handle) for handle in handles.values()]
        assert {None if event.reason is None else event.reason.kind for event in events} == {FailureKind.LAUNCH_ERROR}
        await scene.run("c")
        assert excluded(scene)[-1] == []


async def test_what_waits_in_the_queue_is_kept_away_as_well(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(settings=Settings(cpus=2)) as scene:
        await scene.run("a", "b")
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*(f"job{number}" for number in range(12)))
        controller = scene.slurm.controller

        def on(node: str) -> list[Job]:
            return [job for job in controller.jobs if job.node == node and job.is_active]

        for left in (2, 0):  # two more begin on the node before it is known to be bad
            await trio.sleep(5)
            assert len(on("n1")) == 2
            scene.slurm.change(lambda controller: controller.take_away(on("n1"), state="NODE_FAIL"))
            await trio.sleep(120)
            assert len(on("n1")) == left
        waiting = [job.request.excluded for job in controller.jobs if job.state == PENDING]
        assert waiting == [frozenset({"n1"})] * 6
        assert len(on("n2")) == 2
        assert [words for program, _, words in scene.slurm.calls if "update" in words] == [
            ("update", "JobId=3", "ExcNodeList=n1")
        ]
        await scene.backend.kill_many(handles)


async def test_a_queue_that_does_not_answer_is_said(
    stage: Stage, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(settings=Settings(cpus=2)) as scene:
        await scene.run("a", "b")
        scene.slurm.orders.next("scontrol", Say(err="slurm_update error: Socket timed out\n", code=1))
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*(f"job{number}" for number in range(8)))
        await trio.sleep(5)
        lost = [job for job in scene.slurm.controller.jobs if job.node == "n1" and job.is_active]
        scene.slurm.change(lambda controller: controller.take_away(lost, state="NODE_FAIL"))
        await trio.sleep(120)
        assert "jobs that wait in the queue may still run on excluded nodes: slurm_update error: Socket" in caplog.text
        await scene.backend.kill_many(handles)
