"""A local backend launches nothing while the machine has too little room, says so, and goes on afterwards."""

from __future__ import annotations

import logging
import math
import threading
from functools import partial
from pathlib import Path

import pytest
import trio

from runtime import JobSpec, JobStatus, LocalBackend, run_jobs
from runtime.backend.local import driver, launch_gate
from runtime.process.headroom import MachineState
from tests.backend.local_jobs import local

ROOM = MachineState(memory=1 << 40, disk=1 << 40, pressure=0.0)


class Machine:
    """What is free, instead of what is free on this machine: one state after the other, the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *states: MachineState) -> None:
        self.states = list(states)
        self.read = 0
        monkeypatch.setattr(driver, "read_machine_state", self._read)
        monkeypatch.setattr(launch_gate, "_AGE", 0.0)

    def _read(self, _: str) -> MachineState:
        self.read += 1
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


@pytest.mark.parametrize(
    ("full", "options", "why"),
    [
        (MachineState(memory=1 << 30), {"mem_free": "2GiB"}, "1 GiB of memory are available; mem_free is 2 GiB"),
        (MachineState(disk=0), {"disk_free": 10**9}, "0 bytes of disk space are free; disk_free is 953.7 MiB"),
    ],
)
async def test_nothing_starts_below_and_all_when_there_is_room_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    full: MachineState,
    options: dict[str, int | str],
    why: str,
) -> None:
    caplog.set_level(logging.WARNING, "runtime.backend.local")
    machine = Machine(monkeypatch, full, full, full, ROOM)
    backend = LocalBackend(2, tmp_path, **options)  # type: ignore[arg-type]  # options of several types
    results = await run_jobs([JobSpec(name=name, cmd="true") for name in "abc"], backend)
    assert [result.status for result in results] == [JobStatus.PASSED] * 3
    assert machine.read > 3
    assert caplog.messages == [f"backend 'local' launches nothing for now: {why}", "backend 'local' launches again"]


async def test_a_machine_at_the_limit_is_told_once_in_a_while_and_not_with_each_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "runtime.backend.local")
    full = MachineState(memory=1)
    Machine(monkeypatch, ROOM, *[full, ROOM] * 5, full)
    pair = [
        "backend 'local' launches nothing for now: 1 bytes of memory are available; mem_free is 2 bytes",
        "backend 'local' launches again",
    ]
    async with local(tmp_path, mem_free=2) as here:
        for number in range(8):
            handles = await here.session.submit([JobSpec(name=f"job{number}", cmd="true")])
            assert len(handles) == number % 2
        assert caplog.messages == pair
        monkeypatch.setattr(launch_gate, "_TELL_AGAIN", 0.0)
        for number in range(3):
            await here.session.submit([JobSpec(name=f"more{number}", cmd="true")])
    assert caplog.messages == pair + pair + pair[:1]


async def test_jobs_are_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, MachineState(memory=1))
    async with local(tmp_path, mem_free=2) as here:
        assert await here.session.submit([JobSpec(name="job", cmd="true")]) == {}
        assert here.backend.busy_because == "1 bytes of memory are available; mem_free is 2 bytes"
    assert not (tmp_path / "job").exists()


async def test_under_pressure_one_job_at_a_time_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, MachineState(pressure=80.0))
    async with local(tmp_path, max_parallelism=8) as here:
        jobs = [JobSpec(name=name, cmd="sleep 1000") for name in "ab"]
        assert set(await here.session.submit(jobs)) == {"a"}
        assert await here.session.submit(jobs[1:]) == {}
        assert here.backend.busy_because == "processes wait for memory 80 % of the time"
        await here.backend.kill("a")
    results = await run_jobs([JobSpec(name=name, cmd="true") for name in "abc"], LocalBackend(8, tmp_path / "more"))
    assert [result.status for result in results] == [JobStatus.PASSED] * 3


async def test_a_machine_that_does_not_say_what_is_free_holds_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()

    def stuck(_: str) -> MachineState:
        answer.wait()
        return MachineState(0, 0, 100.0)

    Machine(monkeypatch, ROOM)
    monkeypatch.setattr(launch_gate, "_TIMEOUT", 0.01)
    try:
        async with local(tmp_path, mem_free=2, disk_free=2) as here:
            monkeypatch.setattr(here.driver._gate, "_read", partial(stuck, ""))
            assert (await here.run()).status is JobStatus.PASSED
    finally:
        answer.set()


async def test_a_submission_that_comes_while_the_machine_is_read_goes_by_the_last_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answer = threading.Event(), threading.Event()

    def slow(_: str) -> MachineState:
        begun.set()
        answer.wait()
        return ROOM

    Machine(monkeypatch, MachineState(memory=1))
    async with local(tmp_path, mem_free=2) as here, trio.open_nursery() as nursery:
        monkeypatch.setattr(here.driver._gate, "_read", partial(slow, ""))
        try:
            nursery.start_soon(here.session.submit, [JobSpec(name="first", cmd="true")])
            await trio.to_thread.run_sync(begun.wait)
            monkeypatch.setattr(launch_gate, "_AGE", math.inf)
            assert await here.session.submit([JobSpec(name="second", cmd="true")]) == {}
        finally:
            answer.set()
    assert (tmp_path / "first").exists()
    assert not (tmp_path / "second").exists()


async def test_a_kill_does_not_wait_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, MachineState(memory=1))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(run_jobs, [JobSpec(name="job", cmd="true")], LocalBackend(1, tmp_path, mem_free=2))
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("value", ["2 giraffes", 0, -1, 1.5, True, "", []])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"LocalBackend: (mem|disk)_free: .* is no size; expected a number of bytes"):
        LocalBackend(mem_free=value)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ValueError, match="disk_free"):
        LocalBackend(disk_free=value)  # type: ignore[arg-type]  # what is tested
