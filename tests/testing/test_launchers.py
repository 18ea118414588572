from __future__ import annotations

from types import SimpleNamespace

import pytest

from runtime.backend.legacy import LauncherBusyError
from runtime.job import JobStatus
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, raises, says, scripted


def test_a_script_is_followed_and_its_last_act_repeats() -> None:
    cls = scripted({"a": Script(poll=[says(RUNNING), says(PASSED)], launch=[raises(LauncherBusyError("full")), Act()])})
    launcher = cls(SimpleNamespace(id="a"))
    with pytest.raises(LauncherBusyError, match="full"):
        launcher.launch()
    launcher.launch()
    assert [launcher.poll() for _ in range(3)] == [RUNNING, PASSED, PASSED]
    launcher.kill()
    assert cls.steps("a") == ["build", "launch", "launch", "poll", "poll", "poll", "kill"]
    assert len(cls.times("a", "poll")) == 3
    assert {call.launcher for call in cls.trace} == {launcher}


def test_a_job_without_a_script_passes() -> None:
    cls = scripted()
    assert cls(SimpleNamespace(id="x")).poll() is JobStatus.PASSED
    assert cls.steps("a") == []


def test_a_script_may_depend_on_the_job() -> None:
    cls = scripted(lambda job: Script(poll=[says(job.id)]))
    assert cls(SimpleNamespace(id="x")).poll() == "x"


def test_a_script_may_do_anything_and_set_attributes() -> None:
    done: list[object] = []
    cls = scripted({"a": Script(launch=[Act(does=done.append)], after={"fail_msg": "why"})}, variant="mine")
    launcher = cls(SimpleNamespace(id="a"))
    launcher.launch()
    assert done == [launcher]
    assert (launcher.fail_msg, cls.variant) == ("why", "mine")


def test_each_class_has_a_trace_of_its_own() -> None:
    one, other = scripted(), scripted()
    one(SimpleNamespace(id="a"))
    assert (one.steps("a"), other.steps("a")) == (["build"], [])
