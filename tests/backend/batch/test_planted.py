"""Files that a job plants in the paths of the batch core: no other file is changed, and the loop never blocks."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.batch.exit_records import UNSEEN
from runtime.backend.batch.files import Files
from runtime.errors import BackendBrokenError
from runtime.job import JobSpec, JobStatus
from runtime.process.trees import make_stop_file
from tests.backend.batch.scripted import Element, ScriptedSystem, Stage, jobs, passes, stays


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
    run = Files.run
    asked = []

    async def stuck(self: Files, function: Callable[..., Any], *args: Any) -> Any:
        if function is make_stop_file:
            asked.append(args)
            await trio.sleep_forever()
        return await run(self, function, *args)

    monkeypatch.setattr(Files, "run", stuck)
    async with stage.open(first_stays, soft_stop="stop", soft_timeout=30) as scene:
        await scene.submit(*jobs(2))
        await trio.sleep(3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.backend.kill, "job0")
            with trio.fail_after(100):
                assert (await scene.completion("job1")).status is JobStatus.PASSED
            assert not [event for event in scene.session.history.completions if event.job_id == "job0"]  # it goes on
        assert (await scene.completion("job0")).status is JobStatus.KILLED
        assert len(asked) == 1
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


# ---------------------------------------------------------------------- the folder of the run's own files


def move_away(folder: Path, _: Path) -> None:
    folder.rename(folder.with_name("away"))


def replace_by_link(folder: Path, victim: Path) -> None:
    move_away(folder, victim)
    folder.symlink_to(victim)


def replace_by_link_to_itself(folder: Path, victim: Path) -> None:
    move_away(folder, victim)
    folder.symlink_to("away")


def replace_by_directory(folder: Path, victim: Path) -> None:
    move_away(folder, victim)
    folder.mkdir()


def replace_by_file(folder: Path, victim: Path) -> None:
    move_away(folder, victim)
    folder.write_text("")


def remove(folder: Path, _: Path) -> None:
    shutil.rmtree(folder)


REPLACEMENTS = [remove, move_away, replace_by_link, replace_by_link_to_itself, replace_by_directory, replace_by_file]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.mkdir()
    return path


def runs_on(system: ScriptedSystem, element: Element) -> None:
    """Run, then end; the record is written to where its path leads by then, if anywhere."""

    def end() -> None:
        with suppress(OSError):
            system.write(element)
        element.word = "COMPLETED"

    system.after(1, lambda: system.run(element))
    system.after(5, end)


@pytest.mark.parametrize("replace", REPLACEMENTS)
async def test_a_folder_that_is_replaced_costs_records_and_that_is_said(
    stage: Stage, victim: Path, replace: Callable[[Path, Path], Any], autojump_clock: MockClock
) -> None:
    """Whatever replaces it, with records or without: no job has passed, and each job completes."""
    async with stage.open(runs_on) as scene:
        await scene.submit(*jobs(3))
        await trio.sleep(3)
        replace(stage.directory / ".batch", victim)
        ends = [await scene.completion(f"job{number}") for number in range(3)]
        assert trio.current_time() < 30
    assert {scene.why(event) for event in ends} == {("KILLED", "lost")}
    for event in ends:
        assert event.reason is not None
        assert "the record of its end is gone: its files in" in event.reason.message
        assert "/.batch were removed or replaced" in event.reason.message
    assert os.listdir(victim) == []


@pytest.mark.parametrize("word", ["COMPLETED", None], ids=["in the queue", "not in the queue"])
async def test_a_record_that_never_was_is_not_called_removed(
    stage: Stage, word: str | None, autojump_clock: MockClock
) -> None:
    def end(system: ScriptedSystem, element: Element) -> None:
        element.word, element.listed = word or "COMPLETED", word is not None

    async with stage.open(lambda system, element: system.after(3, lambda: end(system, element))) as scene:
        await scene.submit(*jobs(1))
        event = await scene.completion("job0")
    assert scene.why(event) == ("KILLED", "lost")
    assert event.reason is not None
    assert event.reason.message.endswith("left no record of its end within 20 s")


@pytest.mark.parametrize("replace", REPLACEMENTS)
async def test_a_job_that_finds_its_files_removed_cannot_run_and_the_backend_goes_on(
    stage: Stage, victim: Path, replace: Callable[[Path, Path], Any], autojump_clock: MockClock
) -> None:
    """Its wrapper ends as if the run directory were not shared; but it is."""

    def behave(system: ScriptedSystem, element: Element) -> None:
        def end() -> None:
            element.word, element.code = "COMPLETED", UNSEEN

        if element.job == "job0":
            system.after(5, end)
        else:
            passes(system, element)

    async with stage.open(behave) as scene:
        await scene.submit(jobs(1)[0])
        replace(stage.directory / ".batch", victim)
        event = await scene.completion("job0")
        await scene.submit(JobSpec(name="later", cmd="true"))
        later = scene.why(await scene.completion("later"))
    assert scene.why(event) == ("KILLED", "launch_error")
    assert event.reason is not None
    assert "were removed or replaced" in event.reason.message
    made_again = replace in (remove, move_away, replace_by_directory)
    assert later == (("PASSED", None) if made_again else ("KILLED", "launch_error"))
    assert os.listdir(victim) == []
    if made_again:
        assert os.access(stage.directory / ".batch" / "wrapper", os.X_OK)


async def test_a_run_directory_that_is_gone_as_a_whole_ends_the_run(stage: Stage, autojump_clock: MockClock) -> None:
    """No job can run any more; and if none ever ran, that looks like a run directory that is not shared."""

    def unseen(system: ScriptedSystem, element: Element) -> None:
        def end() -> None:
            element.word, element.code = "COMPLETED", UNSEEN

        system.after(5, end)

    broken = pytest.RaisesExc(BackendBrokenError, match="does not see, or may not write to, the run directory")
    with pytest.RaisesGroup(broken):
        async with stage.open(unseen) as scene:
            await scene.submit(*jobs(3))
            shutil.rmtree(stage.directory)
            await trio.sleep_forever()
    assert {scene.why(event) for event in scene.session.history.completions} == {("KILLED", "backend_error")}


@pytest.mark.parametrize("replace", [replace_by_link, replace_by_link_to_itself, replace_by_file])
async def test_what_a_job_of_an_earlier_run_has_left_in_its_place_is_an_error_when_the_backend_opens(
    stage: Stage, victim: Path, replace: Callable[[Path, Path], Any], autojump_clock: MockClock
) -> None:
    async with stage.open():
        pass
    replace(stage.directory / ".batch", victim)
    broken = pytest.RaisesExc(BackendBrokenError, match=r"backend 'batch' cannot be opened: .*/run/\.batch")
    with pytest.RaisesGroup(broken):
        async with stage.open():
            pass
    assert os.listdir(victim) == []


@planted
async def test_what_is_in_the_place_of_the_script_is_not_submitted(
    stage: Stage, precious: Path, kind: str, autojump_clock: MockClock
) -> None:
    """The system opens it by its path, and would wait for a FIFO."""
    async with stage.open() as scene:
        script = stage.directory / ".batch" / "wrapper"
        text = script.read_bytes()
        script.unlink()
        PLANTED[kind](script, precious)
        await scene.submit(*jobs(1))
        how = scene.why(await scene.completion("job0"))
    if kind == "directory":
        assert how == ("KILLED", "launch_error")
    else:
        assert how == ("PASSED", None)
        assert stat.S_ISREG(script.lstat().st_mode)
        assert script.read_bytes() == text
    assert precious.read_text() == "precious"
    assert not precious.with_name("new").exists()


@pytest.mark.parametrize("kind", ["link", "file"])
async def test_a_log_that_no_time_can_bring_is_not_waited_for(
    stage: Stage, victim: Path, kind: str, autojump_clock: MockClock
) -> None:
    async with stage.open() as scene:
        await scene.submit(*jobs(1, pass_patterns=["PASSED"]))
        directory = stage.directory / "job0"
        directory.rename(directory.with_name("away"))
        if kind == "link":
            directory.symlink_to(victim)
        else:
            directory.write_text("")
        (victim / "job.log").write_text("PASSED\n")
        event = await scene.completion("job0")
    assert scene.why(event) == ("FAILED", "log_unreadable")
    assert event.ended - event.submitted < 10  # seconds; the record comes after 2, and a late log may take 20
