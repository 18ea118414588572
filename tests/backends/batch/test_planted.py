"""What a job plants in the paths of the batch core: nobody's file is changed, and the one loop waits for nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.job import JobStatus
from runtime.process.trees import make_stop_file
from tests.backends.batch.scripted import Element, ScriptedSystem, Stage, jobs, stays


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path / "run", monkeypatch)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.write_text("precious")
    return path


def first_stays(system: ScriptedSystem, element: Element) -> None:
    system.after(0, lambda: system.run(element))
    if element.job != "job0":
        system.after(8, lambda: system.end(element))


PLANTED: dict[str, Callable[[Path, Path], Any]] = {
    "fifo": lambda path, _: os.mkfifo(path),
    "link": lambda path, precious: path.symlink_to(precious),
    "link to nothing": lambda path, precious: path.symlink_to(precious.with_name("new")),
    "directory": lambda path, _: path.mkdir(),
}
planted = pytest.mark.parametrize("kind", PLANTED)


@planted
async def test_what_is_in_the_place_of_a_stop_file_holds_nobody_up(
    stage: Stage, precious: Path, kind: str, autojump_clock: MockClock
) -> None:
    async with stage.open(first_stays, soft_stop="stop", soft_timeout=3) as scene:
        await scene.submit(*jobs(2))
        await trio.sleep(3)
        PLANTED[kind](stage.directory / "job0" / "stop", precious)
        await scene.backend.kill("job0")
        assert (await scene.completion("job1")).status is JobStatus.PASSED
    assert precious.read_text() == "precious"
    assert not precious.with_name("new").exists()


async def test_a_file_system_that_does_not_take_a_stop_file_holds_nobody_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    inline = stage._inline

    async def stuck(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if make_stop_file in (function, getattr(getattr(function, "__self__", None), "_function", None)):
            await trio.sleep_forever()
        return await inline(function, *args, **options)

    monkeypatch.setattr(trio.to_thread, "run_sync", stuck)
    async with stage.open(first_stays, soft_stop="stop", soft_timeout=30) as scene:
        await scene.submit(*jobs(2))
        await trio.sleep(3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.backend.kill, "job0")
            assert (await scene.completion("job1")).status is JobStatus.PASSED
            assert not [event for event in scene.session.history.completions if event.job_id == "job0"]  # it goes on
        assert (await scene.completion("job0")).status is JobStatus.KILLED
        scene.backend.close()


@planted
async def test_what_is_in_the_place_of_a_record_is_no_record(
    stage: Stage, precious: Path, kind: str, autojump_clock: MockClock
) -> None:
    def behave(system: ScriptedSystem, element: Element) -> None:
        def end() -> None:
            assert system.ends is not None
            path = system.ends / element.token[:2] / f"{element.token}.end"
            if element.job == "job0":
                PLANTED[kind](path, precious)
                element.word = "COMPLETED"
            else:
                system.end(element)

        system.after(1, lambda: system.run(element))
        system.after(2, end)

    async with stage.open(behave) as scene:
        await scene.submit(*jobs(2))
        assert (await scene.completion("job1")).status is JobStatus.PASSED
        assert scene.why(await scene.completion("job0")) == ("KILLED", "lost")


@pytest.mark.parametrize("name", ["arrays", "ends"])
async def test_a_link_in_the_place_of_a_folder_leads_nowhere(
    stage: Stage, tmp_path: Path, name: str, autojump_clock: MockClock
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    async with stage.open() as scene:
        folder = stage.directory / ".batch" / name
        folder.rename(folder.with_name("away"))
        folder.symlink_to(victim)
        await scene.submit(*jobs(1))
        assert scene.why(await scene.completion("job0")) == ("KILLED", "launch_error")
    assert os.listdir(victim) == []


async def test_a_job_whose_end_is_asked_for_has_its_stop_file(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open(stays, soft_stop="stop", soft_timeout=3) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        await scene.backend.kill("job0")
        assert stat.S_ISREG((stage.directory / "job0" / "stop").lstat().st_mode)
