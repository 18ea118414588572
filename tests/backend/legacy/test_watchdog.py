"""A launcher that holds the interpreter's lock is named. With real threads and the real lock."""

from __future__ import annotations

import ctypes
import logging
import re
import time
from collections import deque
from typing import Any

import pytest
import trio

from runtime.backend.legacy import LegacyLauncherAdapter, launcher_threads
from runtime.backend.legacy.watchdog import MIN_HELD, Gap, LongCall, Watchdog
from runtime.job import JobStatus
from tests.backend.legacy.rig import Rig, rig

LONG = 2.5 * MIN_HELD
"""Seconds for which launchers are busy; processor time if they compute, as the load of the machine must not matter."""


class Launcher:
    poll_freq = 0

    def __init__(self, job: Any) -> None:
        self.job = job

    def launch(self) -> None: ...

    def poll(self) -> JobStatus:
        return JobStatus.PASSED

    def kill(self) -> None: ...


class WildLauncher(Launcher):
    def poll(self) -> JobStatus:
        spent, length = 0.0, 15
        while spent < LONG:  # twice as long each time; only the last one matters
            length += 1
            began = time.thread_time()
            assert re.search("(a+)+$", "a" * length + "b") is None
            spent = time.thread_time() - began
        return JobStatus.PASSED


class SleepingLauncher(Launcher):
    """Sleeps without releasing the lock."""

    def kill(self) -> None:
        ctypes.PyDLL(None).usleep(int(LONG * 1e6))

    def poll(self) -> JobStatus:
        return JobStatus.RUNNING


class PatientLauncher(Launcher):
    """As slow, but releases the lock."""

    def launch(self) -> None:
        end = time.thread_time() + LONG
        while time.thread_time() < end:
            pass

    def poll(self) -> JobStatus:
        time.sleep(LONG)
        return JobStatus.PASSED


@pytest.fixture(autouse=True)
def watchdog(monkeypatch: pytest.MonkeyPatch) -> Watchdog:
    watchdog = Watchdog()
    monkeypatch.setattr(launcher_threads, "watchdog", watchdog)
    return watchdog


def real(cls: type) -> Any:
    return rig(cls, LegacyLauncherAdapter, name="real")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [it.getMessage() for it in caplog.records if "lock" in it.getMessage() and it.levelno == logging.WARNING]


async def kill_all(it: Rig, *names: str) -> None:
    await it.submit(*names)
    await it.backend.kill_many(names)


@pytest.mark.slow
async def test_a15_a_regular_expression_gone_wild_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with real(WildLauncher) as it:
        await it.submit("wild", "other")
    assert {it.end(name).status for name in ("wild", "other")} == {JobStatus.PASSED}
    (text,) = warnings(caplog)  # one warning for all its calls
    assert re.fullmatch(
        r"WildLauncher\.poll\(\) of job 'wild' held the interpreter's lock for \d+\.\d s, in which nothing else in "
        r"this process could run; isolated=True gives such launchers a process of their own",
        text,
    )


@pytest.mark.slow
async def test_so_is_a_call_that_sleeps_with_the_lock(caplog: pytest.LogCaptureFixture) -> None:
    async with real(SleepingLauncher) as it:
        await kill_all(it, "one")
    (text,) = warnings(caplog)
    assert text.startswith("SleepingLauncher.kill() of job 'one' held the interpreter's lock for ")


@pytest.mark.slow
async def test_a_launcher_that_is_only_slow_is_not_accused(caplog: pytest.LogCaptureFixture) -> None:
    async with real(PatientLauncher) as it:
        await it.submit("one")
    assert it.end("one").status is JobStatus.PASSED
    assert warnings(caplog) == []


def long_call(spent: float) -> LongCall:
    return LongCall("Launcher", "poll()", "job", 10.0, 12.0, spent)


@pytest.mark.parametrize(
    ("gaps", "spent", "held"),
    [
        ([], 2.0, (0.0, False)),
        ([Gap(10.5, 11.5, False, 1)], 1.0, (1.0, False)),  # it computed
        ([Gap(10.5, 11.5, False, 1)], 0.1, (0, False)),  # another thread computed
        ([Gap(10.5, 11.5, True, 1)], 0.0, (1.0, False)),  # all slept, and it alone was in a call
        ([Gap(10.5, 11.5, True, 3)], 0.0, (1.0, True)),  # it, or another call
        ([Gap(9.0, 10.25, False, 1), Gap(11.75, 13.0, False, 1)], 0.5, (0.5, False)),  # only the time it overlaps
        ([Gap(8.0, 10.0, True, 1), Gap(12.0, 13.0, True, 1)], 0.0, (0.0, False)),  # before it, and after it
    ],
)
def test_which_call_is_blamed(gaps: list[Gap], spent: float, held: tuple[float, bool]) -> None:
    assert long_call(spent).held(deque(gaps)) == held


async def test_there_is_no_thread_without_an_adapter_and_no_check_without_a_call(watchdog: Watchdog) -> None:
    assert watchdog._thread is None
    async with real(Launcher) as one, real(Launcher) as two:
        assert watchdog._thread is None
        await one.submit("job")
        await two.submit("job")
        await one.backend.drain()
        await two.backend.drain()
        thread = watchdog._thread
        assert thread is not None
        with trio.fail_after(10):
            while not watchdog._is_asleep:
                await trio.lowlevel.checkpoint()
    assert not thread.is_alive()
