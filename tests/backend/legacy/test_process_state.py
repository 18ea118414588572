"""Launchers that change what the whole process shares."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from runtime.backend.legacy import LegacyLauncherAdapter, launcher_threads
from runtime.backend.legacy.call_batches import Call, Step
from runtime.backend.legacy.process_state import Surroundings
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, scripted
from tests.backend.legacy.rig import rig


class Ours:
    """A call for messages, and somebody who makes it."""

    def __repr__(self) -> str:
        return "job 'a'"


CALL = Call(Step("launch()", lambda _: None), Ours())


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE", "before")
    return Surroundings()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("step", ["build", "launch", "poll", "kill"])
async def test_a14_a_launcher_that_changes_the_process_is_named_and_undone(
    step: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_threads, "surroundings", Surroundings())
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
        assert (os.getcwd(), dict(os.environ)) == (here, environ)
    assert it.end("good").status is PASSED
    (first, *_) = warnings(caplog)
    assert first.startswith("ScriptedLauncher: ")
    assert f"changed the current directory, to {str(tmp_path)!r} and the environment (GOES, MINE, NEW)" in first
    assert len(warnings(caplog)) <= 3, "and not for each poll"


def test_what_is_found_is_right(guard: Surroundings, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    guard.enter("slice")
    guard.leave("slice", "Cls", [CALL])
    os.environ["MINE"] = "the host's own"
    guard.enter("slice")
    guard.leave("slice", "Cls", [CALL])
    assert os.environ["MINE"] == "the host's own"
    assert warnings(caplog) == []


def test_the_call_is_named_once_and_of_several_some(guard: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    for calls in ([CALL] * 5, [CALL], [CALL]):
        guard.enter("slice")
        os.environ["MINE"] = "after"
        guard.leave("slice", "Cls", calls)
        assert os.environ["MINE"] == "before"
    one = "launch() of job 'a'"
    assert warnings(caplog) == [
        f"Cls: one of 5 calls ({one}, {one}, {one}, …) changed the environment (MINE); it was put back",
        f"Cls: {one} changed the environment (MINE); it was put back",
    ]


def test_once_somebody_was_caught_each_call_is_looked_at(guard: Surroundings) -> None:
    assert not guard.is_close
    guard.enter("slice")
    os.environ["MINE"] = "after"
    guard.look("slice", "Cls", CALL)
    assert os.environ["MINE"] == "before"
    assert guard.is_close


def test_nothing_is_put_back_under_a_call_of_another_thread(
    guard: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    guard.enter("one")
    guard.enter("other")
    os.environ["MINE"] = "after"
    guard.look("one", "Cls", CALL)
    guard.leave("one", "Cls", [CALL])
    assert os.environ["MINE"] == "after"
    guard.leave("other", "Cls", [CALL])
    assert os.environ["MINE"] == "before"
    assert "unless it was another call at that time" in warnings(caplog)[0]


def test_a_call_that_hangs_keeps_nobody_from_putting_things_back(guard: Surroundings) -> None:
    guard.enter("hangs")
    guard.enter("slice")
    guard.excuse("hangs")
    os.environ["MINE"] = "after"
    guard.leave("slice", "Cls", [CALL])
    assert os.environ["MINE"] == "before"
    os.environ["MINE"] = "the host's own"
    guard.leave("hangs", "Cls", [CALL])  # it comes back late, and knows nothing of now
    assert os.environ["MINE"] == "the host's own"


def test_a_directory_that_is_gone(guard: Surroundings, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    guard.enter("slice")
    os.chdir(tmp_path)
    gone.rmdir()
    guard.leave("slice", "Cls", [CALL])
    assert "cannot change back to the directory" in warnings(caplog)[0]
    assert os.getcwd() == str(tmp_path)
