"""Launchers that change the current directory or the environment, which the whole process shares."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from runtime.backend.legacy import LegacyLauncherAdapter, launcher_threads
from runtime.backend.legacy.call_batches import Call, Step
from runtime.backend.legacy.process_state import ProcessState
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, scripted
from tests.backend.legacy.rig import rig


class Subject:
    """The subject of a call, as messages show it."""

    def __repr__(self) -> str:
        return "job 'a'"


CALL = Call(Step("launch()", lambda _: None), Subject())


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessState:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE", "before")
    return ProcessState()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("step", ["build", "launch", "poll", "kill"])
async def test_a14_a_launcher_that_changes_the_process_is_named_and_undone(
    step: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_threads, "process_state", ProcessState())
    monkeypatch.setenv("MINE", "before")
    monkeypatch.setenv("GOES", "too")
    here, environ = os.getcwd(), dict(os.environ)

    def change(_launcher: Any) -> None:
        os.chdir(tmp_path)
        os.environ["MINE"] = "after"
        os.environ["NEW"] = "1"
        del os.environ["GOES"]

    bad: dict[str, Any] = {step: [Act(does=change, says=RUNNING if step == "poll" else None)]}
    cls = scripted({"bad": Script(**{"poll": [Act(says=RUNNING)], **bad})}, poll_freq=0)
    async with rig(cls, LegacyLauncherAdapter) as it:
        await it.submit("bad", "good")
        await it.backend.kill("bad")
    # Not before the end of the block: another thread may be in a call of the launcher.
    assert (os.getcwd(), dict(os.environ)) == (here, environ)
    assert it.end("good").status is PASSED
    (first, *_) = warnings(caplog)
    assert first.startswith("ScriptedLauncher: ")
    assert f"changed the current directory, to {str(tmp_path)!r} and the environment (GOES, MINE, NEW)" in first
    assert len(warnings(caplog)) <= 3, "and not for each poll"


def test_the_state_before_the_first_call_is_what_is_restored(
    guard: ProcessState, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    guard.enter("batch")
    guard.leave("batch", "Cls", [CALL])
    os.environ["MINE"] = "the host's own"
    guard.enter("batch")
    guard.leave("batch", "Cls", [CALL])
    assert os.environ["MINE"] == "the host's own"
    assert warnings(caplog) == []


def test_the_call_is_named_once_and_of_several_some(guard: ProcessState, caplog: pytest.LogCaptureFixture) -> None:
    for calls in ([CALL] * 5, [CALL], [CALL]):
        guard.enter("batch")
        os.environ["MINE"] = "after"
        guard.leave("batch", "Cls", calls)
        assert os.environ["MINE"] == "before"
    one = "launch() of job 'a'"
    assert warnings(caplog) == [
        f"Cls: one of 5 calls ({one}, {one}, {one}, …) changed the environment (MINE); it was restored",
        f"Cls: {one} changed the environment (MINE); it was restored",
    ]


def test_after_the_first_change_each_call_is_checked(guard: ProcessState) -> None:
    assert not guard.checks_every_call
    guard.enter("batch")
    os.environ["MINE"] = "after"
    guard.check("batch", "Cls", CALL)
    assert os.environ["MINE"] == "before"
    assert guard.checks_every_call


def test_nothing_is_restored_during_a_call_of_another_thread(
    guard: ProcessState, caplog: pytest.LogCaptureFixture
) -> None:
    guard.enter("one")
    guard.enter("other")
    os.environ["MINE"] = "after"
    guard.check("one", "Cls", CALL)
    guard.leave("one", "Cls", [CALL])
    assert os.environ["MINE"] == "after"
    guard.leave("other", "Cls", [CALL])
    assert os.environ["MINE"] == "before"
    assert "unless it was another call at that time" in warnings(caplog)[0]


def test_a_stalled_call_does_not_prevent_restoring(guard: ProcessState) -> None:
    guard.enter("hangs")
    guard.enter("batch")
    guard.ignore("hangs")
    os.environ["MINE"] = "after"
    guard.leave("batch", "Cls", [CALL])
    assert os.environ["MINE"] == "before"
    os.environ["MINE"] = "the host's own"
    guard.leave("hangs", "Cls", [CALL])  # it returns late, and must not restore the old state
    assert os.environ["MINE"] == "the host's own"


def test_a_directory_that_is_gone(guard: ProcessState, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    guard.enter("batch")
    os.chdir(tmp_path)
    gone.rmdir()
    guard.leave("batch", "Cls", [CALL])
    assert "cannot change back to the directory" in warnings(caplog)[0]
    assert os.getcwd() == str(tmp_path)
