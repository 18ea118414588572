"""A guard notices a standstill wherever it falls."""

from __future__ import annotations

import signal

import pytest

from runtime.process.guard import contained_job
from runtime.process.guard.contained_job import ContainedJob
from runtime.process.guard.messages import STOOD_STILL
from runtime.process.guard.shim_process import ShimProcess
from runtime.process.guard.supervisor_process import SupervisorProcess
from runtime.process.guard.system_calls import STANDSTILL, TICK, AwakeClock

NONE = 20.0
"""Seconds of a wait without a limit."""


class Clocks:
    """The time, and the processor time of a process that works and stands still when it is told to."""

    def __init__(self) -> None:
        self.now = self.worked = 100.0

    def awake(self) -> AwakeClock:
        return AwakeClock(lambda: self.now, lambda: self.worked)

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.worked += seconds

    def stand_still(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_neither_sleep_nor_work_nor_a_busy_machine_is_a_standstill(clocks: Clocks) -> None:
    clock = clocks.awake()
    clocks.work(50)
    clock.sleep(7)
    clocks.now += 7 + STANDSTILL
    assert clock() == clocks.now
    clock.sleep(float("inf"))
    clocks.now += 1000
    assert clock() == clocks.now


def test_a_standstill_counts_once_and_only_beyond_the_sleep(clocks: Clocks) -> None:
    clock = clocks.awake()
    clocks.work(2)
    clock.sleep(1)
    clocks.stand_still(30)
    assert clock() == clocks.now - 29
    assert clock() == clocks.now - 29
    clock.sleep(3)
    clocks.stand_still(2)
    assert clock() == clocks.now - 29, "less than it meant to sleep"
    assert clock.stood_still == 29


class Poll:
    """A `select.poll` that sleeps as long as it is told to, by the clocks of the test."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks

    def poll(self, milliseconds: float | None) -> list[tuple[int, int]]:
        self._clocks.now += NONE if milliseconds is None else milliseconds / 1000
        return []


@pytest.fixture
def shim(clocks: Clocks) -> ShimProcess:
    shim = object.__new__(ShimProcess)
    shim.clock = clocks.awake()
    shim.poll = Poll(clocks)  # type: ignore[assignment]  # a stand-in
    return shim


def test_time_in_a_wait_counts_and_a_standstill_before_it_or_in_it_does_not(shim: ShimProcess, clocks: Clocks) -> None:
    begun = shim.clock()
    clocks.stand_still(9)
    shim.wait(0.5)
    assert shim.clock() - begun == 0.5
    shim.wait(None)
    shim.wait(0.5)
    assert shim.clock() - begun == 0.5 + NONE + 0.5


def test_no_wait_of_a_stop_is_so_long_that_a_standstill_in_it_goes_unnoticed(shim: ShimProcess, clocks: Clocks) -> None:
    begun = shim.clock()
    shim.wait(100)
    assert shim.clock() - begun == TICK


def test_a_standstill_right_after_a_signal_was_sent_shortens_no_step(
    clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped while it sends SIGTERM, before it looks which step is due next."""
    sent: list[int] = []

    def signal_tree(_: object, *numbers: int) -> None:
        sent.extend(numbers)
        clocks.stand_still(9)

    monkeypatch.setattr(contained_job, "signal_tree", signal_tree)
    monkeypatch.setattr(ContainedJob, "root_has_exited", lambda _: False)
    monkeypatch.setattr(contained_job, "children", list)
    job = ContainedJob(1, 0, None, 0, [], clocks.awake(), lambda _: None)
    job.stop(None, None, 8, 5)
    assert sent == [signal.SIGTERM, signal.SIGCONT]
    assert job.take_due_steps() == 8


def test_the_witness_reports_a_standstill_between_two_waits(clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[tuple[object, ...]] = []
    witness = object.__new__(SupervisorProcess)
    witness.clock, witness.sweeping, witness.shutting_down = clocks.awake(), False, False
    witness.dead = []
    witness.poll = Poll(clocks)  # type: ignore[assignment]  # a stand-in
    monkeypatch.setattr(witness, "report", lambda *words: reports.append(words), raising=False)
    clocks.stand_still(9)
    witness.wait()
    ((kind, begin, end),) = reports
    assert kind == STOOD_STILL
    assert isinstance(begin, float)
    assert isinstance(end, float)
    assert round(end - begin, 6) == 9
