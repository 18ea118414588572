"""A guard notices a standstill wherever it falls."""

from __future__ import annotations

import pytest

from runtime.process.guard.messages import STOOD_STILL
from runtime.process.guard.shim_process import ShimProcess
from runtime.process.guard.supervisor_process import SupervisorProcess
from runtime.process.guard.system import STANDSTILL, StandstillMeter


class Clocks:
    """The time, and the processor time of a process that works and stands still when it is told to."""

    def __init__(self) -> None:
        self.now = self.worked = 100.0

    def meter(self) -> StandstillMeter:
        return StandstillMeter(lambda: self.now, lambda: self.worked)

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.worked += seconds

    def stand_still(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_neither_sleep_nor_work_nor_a_busy_machine_is_a_standstill(clocks: Clocks) -> None:
    meter = clocks.meter()
    clocks.work(50)
    clocks.now += 7 + STANDSTILL
    assert meter.look(7) == 0
    clocks.now += 1000
    assert meter.look(float("inf")) == 0


def test_a_standstill_counts_once_and_only_beyond_the_sleep(clocks: Clocks) -> None:
    meter = clocks.meter()
    clocks.work(2)
    clocks.stand_still(30)
    assert meter.look(1) == 29
    assert meter.look(0) == 0
    clocks.stand_still(2)
    assert meter.look(3) == 0, "less than it meant to sleep"


class Poll:
    """A `select.poll` that sleeps as long as it is told to, by the clocks of the test."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks

    def poll(self, milliseconds: float | None) -> list[tuple[int, int]]:
        self._clocks.now += 0 if milliseconds is None else milliseconds / 1000
        return []


class Job:
    """Notes by how much its stop is postponed."""

    def __init__(self) -> None:
        self.postponed: list[float] = []

    def postpone(self, seconds: float) -> None:
        self.postponed.append(seconds)


@pytest.fixture
def shim(clocks: Clocks) -> tuple[ShimProcess, Job]:
    shim, job = object.__new__(ShimProcess), Job()
    shim.standstills = clocks.meter()
    shim.poll, shim.job = Poll(clocks), job  # type: ignore[assignment]  # stand-ins
    return shim, job


def test_a_standstill_right_after_a_signal_was_sent_shortens_no_step(
    shim: tuple[ShimProcess, Job], clocks: Clocks
) -> None:
    """It is stopped after it has sent SIGTERM, and before it waits for the effect."""
    process, job = shim
    process.wait(None)
    clocks.stand_still(9)
    process.wait(0.5)
    process.wait(0.5)
    assert job.postponed == [9]


def test_the_witness_reports_a_standstill_between_two_waits(clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[tuple[object, ...]] = []
    witness = object.__new__(SupervisorProcess)
    witness.standstills, witness.sweeping, witness.shutting_down = clocks.meter(), False, False
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
