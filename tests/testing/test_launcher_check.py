"""Tests of `check_launcher`: what it reports of launchers with one fault each, in real threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from runtime.backend.legacy import Launcher, LauncherBusyError, LauncherError
from runtime.job import JobStatus
from runtime.testing.launcher_check import LauncherReport, check_launcher

RUNNING, PASSED, KILLED = JobStatus.RUNNING, JobStatus.PASSED, JobStatus.KILLED


class Good(Launcher):
    """Runs for two polls, then passes. A kill works."""

    def __init__(self, job: Any) -> None:
        super().__init__(job)
        self.polls = 0
        self.dead = False

    def launch(self) -> None:
        pass

    def poll(self) -> Any:
        if self.dead:
            return KILLED
        self.polls += 1
        return RUNNING if self.polls <= 2 else PASSED

    def kill(self) -> None:
        self.dead = self.polls <= 2


async def check(launcher_cls: Any, *, deadline: float = 5.0) -> LauncherReport:
    return await check_launcher(launcher_cls, interval=0, deadline=deadline)


async def test_a_good_launcher() -> None:
    report = await check(Good)
    assert report.launcher == "Good"
    assert report.statuses == ("RUNNING", "PASSED")
    assert report.ended
    assert report.repeats_its_end
    assert not report.lies_after_its_end
    assert report.dies_when_killed
    assert not report.kill_after_the_end_raises
    assert not report.bound_to_its_thread
    assert report.thread_safe
    assert (report.hung, report.raised) == ((), {})
    assert set(report.slowest) == {"build", "launch", "poll", "kill"}
    assert all(0 <= seconds < 5 for seconds in report.slowest.values())


async def test_one_that_lies_after_its_end() -> None:
    class Liar(Good):
        def poll(self) -> Any:
            status = super().poll()
            return RUNNING if self.polls > 3 else status

    report = await check(Liar)
    assert report.lies_after_its_end
    assert not report.repeats_its_end
    assert "after a terminal status it returns one that is not" in report.warnings


async def test_one_that_changes_its_mind() -> None:
    class Fickle(Good):
        def poll(self) -> Any:
            status = super().poll()
            return JobStatus.FAILED if self.polls > 3 else status

    report = await check(Fickle)
    assert not report.lies_after_its_end
    assert not report.repeats_its_end
    assert "after a terminal status it returns another one" in report.warnings


@pytest.mark.slow
@pytest.mark.parametrize("step", ["build", "launch", "poll", "kill"])
async def test_one_that_hangs(step: str) -> None:
    gate = threading.Event()

    def hang() -> None:
        gate.wait()

    class Hanging(Good):
        def __init__(self, job: Any) -> None:
            super().__init__(job)
            if step == "build":
                hang()

        def launch(self) -> None:
            if step == "launch":
                hang()

        def poll(self) -> Any:
            if step == "poll":
                hang()
            return super().poll()

        def kill(self) -> None:
            if step == "kill":
                hang()
            super().kill()

    report = await check(Hanging, deadline=0.3)
    gate.set()
    assert report.hung == (step,)
    assert report.slowest[step] == 0.3
    assert step in report.blocks
    assert f"{step} does not return" in report.warnings
    assert not report.thread_safe


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (LauncherError("no licence"), "LauncherError: no licence"),
        (LauncherBusyError("full"), "LauncherBusyError: full (it is busy)"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
async def test_one_that_raises(error: BaseException, shown: str) -> None:
    class Raising(Good):
        def launch(self) -> None:
            raise error

    report = await check(Raising)
    assert report.raised == {"launch": shown}
    assert not report.ended
    assert f"launch raises {shown}" in report.warnings


async def test_one_whose_kill_of_an_ended_job_raises() -> None:
    class Strict(Good):
        def kill(self) -> None:
            if self.polls > 2:
                raise ProcessLookupError("it is gone")
            super().kill()

    report = await check(Strict)
    assert report.kill_after_the_end_raises
    assert report.dies_when_killed
    assert report.raised == {}


async def test_one_that_does_not_die() -> None:
    class Undead(Good):
        def kill(self) -> None:
            pass

    report = await check(Undead)
    assert not report.dies_when_killed


async def test_one_that_returns_something_else_than_a_status() -> None:
    class Chatty(Good):
        def poll(self) -> Any:
            return "fine, thanks"

    report = await check(Chatty)
    assert report.statuses == ("'fine, thanks'",)
    assert not report.ended
    assert not report.bound_to_its_thread


@pytest.mark.slow
async def test_one_that_never_ends() -> None:
    class Endless(Good):
        def poll(self) -> Any:
            return KILLED if self.dead else RUNNING

        def kill(self) -> None:
            self.dead = True

    report = await check(Endless, deadline=0.3)
    assert report.statuses == ("RUNNING",)
    assert not report.ended
    assert not report.repeats_its_end
    assert "its job did not end by itself" in report.warnings


async def test_one_that_is_bound_to_its_thread() -> None:
    class Bound(Good):
        def launch(self) -> None:
            self.home = threading.get_ident()

        def poll(self) -> Any:
            if threading.get_ident() != self.home:
                raise RuntimeError("another thread")
            return super().poll()

    report = await check(Bound)
    assert report.bound_to_its_thread
    assert report.raised == {}


async def test_one_that_is_not_thread_safe() -> None:
    meeting = threading.Barrier(2)

    class Shared(Good):
        users = 0

        def poll(self) -> Any:
            cls = type(self)
            cls.users += 1
            try:
                if self.job.id.startswith("side-by-side") and self.polls == 0 and self.job.id.endswith("-0"):
                    meeting.wait(5)  # so that both threads are in this call at the same time
                if cls.users > 1:
                    raise RuntimeError("one at a time, please")
                return super().poll()
            finally:
                cls.users -= 1

    report = await check(Shared)
    assert not report.thread_safe
    assert "poll" in report.raised
